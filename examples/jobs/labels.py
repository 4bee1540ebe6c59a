"""Which labels of a data set are suspect, and what they should be."""

import numpy as np
from sklearn.datasets import load_digits

X, y = load_digits(return_X_y=True)
spoilt = np.random.default_rng(0).choice(len(y), 60, replace=False)
y[spoilt] = (y[spoilt] + 1) % 10

# %%
from abstain import find_label_errors

suspects = find_label_errors(X, y, random_state=0)
print(suspects)
found = np.isin(suspects.order[:60], spoilt).mean()
print(f"{found:.0%} of the 60 most suspect labels are those that were spoilt")

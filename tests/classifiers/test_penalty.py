"""The penalty that a probe chooses is the one that serves its own loss."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from abstain import LinearProbe
from abstain.classifiers import WLFClassifier
from abstain.losses import WLFLoss


@pytest.mark.parametrize("of_loss", [WLFClassifier, lambda weights, **k: LinearProbe(loss=WLFLoss(weights), **k)])
def test_the_penalty_is_chosen_by_the_loss_that_is_trained_on(of_loss):
    X, y = load_digits(return_X_y=True)
    weights = np.full((10, 10), 0.07) + 0.3 * np.eye(10)
    chosen = of_loss(weights, l2="auto", random_state=0).fit(X[:900], y[:900])
    losses = {}
    for l2 in (0.1, 1.0, 10.0, 100.0):
        probe = of_loss(weights, l2=l2).fit(X[:900], y[:900])
        losses[l2] = WLFLoss(weights).value_and_derivative(probe.decision_function(X[900:]), y[900:])[0].mean()
    assert chosen.l2_ > 0.1
    assert losses[10.0] < losses[0.1]

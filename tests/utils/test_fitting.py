"""A fit that fails leaves the estimator as it was."""

import pytest
from sklearn.linear_model import LogisticRegression

from abstain.utils.fitting import unchanged_on_failure


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_failure_changes_nothing(failure):
    estimator = LogisticRegression(C=2.0)
    estimator.coef_ = "fitted"

    def fit():
        with unchanged_on_failure(estimator):
            estimator.coef_, estimator.intercept_ = "half", "new"
            raise failure

    with pytest.raises(failure):
        fit()
    assert vars(estimator) == vars(LogisticRegression(C=2.0)) | {"coef_": "fitted"}


def test_success_is_kept():
    estimator = LogisticRegression()
    with unchanged_on_failure(estimator):
        estimator.coef_ = "fitted"
    assert estimator.coef_ == "fitted"

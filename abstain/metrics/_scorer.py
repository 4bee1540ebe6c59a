"""Selective metrics as scorers for searches and cross-validation."""

from collections.abc import Callable
from inspect import signature
from typing import Any

from abstain.metrics._held_out import held_out
from abstain.utils.validation import check_flag, check_metric


class _SelectiveScorer:
    def __init__(self, metric, sign, options):
        self._metric, self._sign, self._options = metric, sign, options

    def __call__(self, estimator, X, y):
        if not hasattr(estimator, "score_samples"):
            raise TypeError(
                f"{type(estimator).__name__} has no score_samples; wrap it: "
                "SelectiveClassifier(estimator, scorer=max_probability)."
            )
        held = held_out(estimator, X, y)
        asks = getattr(self._metric, "asks", None)
        arrays, options = ((held.correct, held.score), {}) if asks is None else asks(held)
        return self._sign * self._metric(*arrays, **(options | self._options))

    def __repr__(self):
        return f"make_selective_scorer({self._metric.__name__}, greater_is_better={self._sign > 0})"


def make_selective_scorer(metric: Callable, *, greater_is_better: bool = False, **options: Any) -> Callable:
    """Turn a selective metric into a scorer for ``GridSearchCV`` and ``cross_val_score``.

    Parameters
    ----------
    metric : callable
        ``metric(correct, score, **options)``, for example `aurc`; or one that says otherwise: `mistake_severity` and
        `mean_cost` of labels and answers, `distance_at_k` and `explicability_loss` of labels and probabilities, whose
        rows and columns are in the order of ``classes_``.
    greater_is_better : bool, default=False
        False for risks and areas, whose sign is then flipped, as in scikit-learn.
    **options : dict
        Passed to the metric, for example ``coverage=0.8``.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y)``; the estimator needs ``predict`` and ``score_samples``.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import cross_val_score
    >>> from abstain import SelectiveClassifier
    >>> from abstain.metrics import aurc, make_selective_scorer
    >>> X, y = load_iris(return_X_y=True)
    >>> bool((cross_val_score(SelectiveClassifier(cv=2), X, y, scoring=make_selective_scorer(aurc), cv=3) <= 0).all())
    True
    """
    check_metric(metric)
    check_flag(greater_is_better, "greater_is_better")
    try:
        signature(metric).bind(None, None, **options)
    except TypeError as error:
        raise TypeError(f"options {sorted(options)} do not fit {metric.__name__}: {error}.") from error
    return _SelectiveScorer(metric, 1 if greater_is_better else -1, options)

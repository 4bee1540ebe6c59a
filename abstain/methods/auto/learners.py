"""Small learners of correctness, each from held-out columns: linear heads and boosted trees."""

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier

from abstain.folds import held_out
from abstain.heads.trust_head import TrustHead
from abstain.losses import CrossEntropyLoss, SteepSlopeLoss, TCPLoss
from abstain.outputs import log_odds_of
from abstain.views import shown

# categories that histogram boosting can tell apart
_MOST_CODES = 255


class HeadLearner:
    """A linear trust head.

    Parameters
    ----------
    name : str
        Name in reports.
    head : TrustHead
        The head.
    """

    def __init__(self, name, head):
        self.name, self.head = name, head

    def fit_held_out(self, view, outcome, folds):
        """Fit on all samples; return log-odds of being right by heads that have not seen the sample."""
        self.head = clone(self.head)
        target = outcome.target(self.head.target).astype(np.float64)
        score = self.head.fit_held_out(shown(view, self.head.sees), target, folds)
        known = ~np.isnan(score)
        score[known] = self.head.recalibrate(score[known], outcome.correct[known])
        return log_odds_of(score)

    def log_odds(self, view):
        """Log-odds of being right, (n,)."""
        return log_odds_of(self.head.score_samples(shown(view, self.head.sees)))


class BoostedLearner:
    """Histogram gradient boosting on columns and answer, and on the features where they are few.

    Parameters
    ----------
    name : str
        Name in reports.
    features : bool
        Whether it sees the features.
    seed : int
        Seed.
    """

    def __init__(self, name, features, seed):
        self.name, self.features, self.seed = name, features, seed

    def fit_held_out(self, view, outcome, folds):
        """Fit on all samples; return log-odds of being right by trees that have not seen the sample."""
        columns, correct = self._columns(view), outcome.correct
        few = len(view.outputs.classes) <= _MOST_CODES

        def fit(train):
            return self._fit(columns[train], correct[train], few)

        out = held_out(folds, fit, lambda trees, test: trees.predict_proba(columns[test])[:, 1])
        self.trees = self._fit(columns, correct, few)
        return log_odds_of(out)

    def log_odds(self, view):
        """Log-odds of being right, (n,)."""
        return log_odds_of(self.trees.predict_proba(self._columns(view))[:, 1])

    def _fit(self, columns, correct, few):
        trees = HistGradientBoostingClassifier(
            learning_rate=0.06, max_iter=120, max_leaf_nodes=12, min_samples_leaf=15, l2_regularization=5.0,
            early_stopping=False, categorical_features=[0] if few else None, random_state=self.seed,
        )  # fmt: skip
        return trees.fit(columns, correct)

    def _columns(self, view):
        parts = [view.answer, steady(view.confidence)]
        return np.column_stack([*parts, view.features] if self.features else parts)


def steady(columns):
    """Columns without their last digits, so that no split of a tree lies between two roundings of one value."""
    return columns.astype(np.float32)


def default_learners(errors, n_features, *, thorough, seed):
    """Learners that so many errors can bear, the linear one on all columns first.

    Parameters
    ----------
    errors : int
        Errors, or right predictions where those are fewer.
    n_features : int
        Number of features; 0 without any.
    thorough : bool
        Whether to train more than linear heads.
    seed : int
        Seed.

    Returns
    -------
    learners : list
        Not fitted.
    """

    def head(name, loss, **options):
        return HeadLearner(name, TrustHead(loss, random_state=seed, **{"head_inputs": "confidence", **options}))

    learners = [head("logistic", CrossEntropyLoss())]
    if thorough and errors >= 100:
        learners.append(BoostedLearner("boosting", False, seed))
        learners.append(head("steep slope", SteepSlopeLoss()))
        learners.append(head("TCP", TCPLoss(), target="tcp"))
        if 0 < n_features <= min(100, errors):
            learners.append(BoostedLearner("boosting with features", True, seed))
    if 0 < n_features <= errors:
        learners.append(head("logistic with features", CrossEntropyLoss(), head_inputs="both"))
    return learners

"""Small learners of correctness, each from held-out evidence: linear heads and boosted trees."""

import numpy as np
from scipy.special import logit
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier

from abstain.losses import CrossEntropyLoss, SteepSlopeLoss, TCPLoss
from abstain.methods.trust_head import TrustHead
from abstain.scores.inputs import shown

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

    def fit_held_out(self, inputs, targets, folds):
        """Fit on all samples; return log-odds of being right by heads that have not seen the sample."""
        self.head = clone(self.head)
        score = self.head.fit_held_out(
            shown(inputs, self.head.sees), targets[self.head.target].astype(np.float64), folds
        )
        return log_odds(self.head.recalibrate(score, targets["correct"]))

    def log_odds(self, inputs):
        """Log-odds of being right, (n,)."""
        return log_odds(self.head.score_samples(shown(inputs, self.head.sees)))


class BoostedLearner:
    """Histogram gradient boosting on evidence and predicted class, and on the features where they are few.

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

    def fit_held_out(self, inputs, targets, folds):
        """Fit on all samples; return log-odds of being right by trees that have not seen the sample."""
        columns, correct = self._columns(inputs), targets["correct"]
        out = np.zeros(len(columns))
        for train, test in folds:
            out[test] = self._fit(columns[train], correct[train], inputs).predict_proba(columns[test])[:, 1]
        self.trees = self._fit(columns, correct, inputs)
        return log_odds(out)

    def log_odds(self, inputs):
        """Log-odds of being right, (n,)."""
        return log_odds(self.trees.predict_proba(self._columns(inputs))[:, 1])

    def _fit(self, columns, correct, inputs):
        few = inputs.log_proba.shape[1] <= _MOST_CODES
        trees = HistGradientBoostingClassifier(
            learning_rate=0.06, max_iter=120, max_leaf_nodes=12, min_samples_leaf=15, l2_regularization=5.0,
            early_stopping=False, categorical_features=[0] if few else None, random_state=self.seed,
        )  # fmt: skip
        return trees.fit(columns, correct)

    def _columns(self, inputs):
        parts = [inputs.predicted, inputs.confidence]
        return np.column_stack([*parts, inputs.features] if self.features else parts)


def log_odds(score):
    """Log-odds of a probability, within those of one in 10^12."""
    return logit(np.clip(score, 1e-12, 1 - 1e-12))


def default_learners(errors, n_features, *, thorough, seed):
    """Learners that so many errors can bear, the linear one on all evidence first.

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

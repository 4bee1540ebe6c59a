"""The selector behind a classifier that is already there."""

import copy

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from abstain.methods.selection import held_out_area, report_selection, selection_score
from abstain.scores.inputs import as_inputs
from abstain.scores.probability import max_probability
from abstain.solvers import forward
from abstain.solvers.design import Design
from abstain.utils.optional import import_extra
from abstain.utils.validation import check_choice, check_hidden

_FLOOR = -30.0  # log-probability of a class that cannot be


class SelectiveHead(BaseEstimator):
    """Scorer that learns to select, from the softmax response of the classifier on.

    Its log-odds of accepting are a multiple of those of the maximum probability, 1 at first, plus a perceptron on
    features, confidence features and predicted class, 0 at first.

    Parameters
    ----------
    losses : list of SelectiveLoss
        One for each coverage.
    coverages : list of float
        What the selectors are trained to accept; the first is in use.
    rank_by : {"selector", "softmax", "product", "logit_sum", "auto"}
        What is made of them.
    head_inputs : {"both", "features", "confidence"}
        What the perceptron sees.
    hidden : tuple of int
        Widths of its hidden layers.
    training : Training
        Knobs of the network.
    random_state : int, RandomState or None
        Seed.

    Attributes
    ----------
    reports_ : dict of float to SelectionReport
        What the held-out samples say, by coverage.
    held_out_ : ndarray of shape (n, n_coverages)
        Held-out scores.
    odds_ : ndarray of shape (n, n_coverages)
        Held-out log-odds of the selectors.
    history_ : list of dict
        Losses by epoch.
    """

    target = "label"

    def __init__(self, losses, coverages, rank_by, head_inputs, hidden, training, random_state):
        self.losses = losses
        self.coverages = coverages
        self.rank_by = rank_by
        self.head_inputs = head_inputs
        self.hidden = hidden
        self.training = training
        self.random_state = random_state

    @property
    def sees(self):
        """What a selective classifier shows this scorer."""
        return self.head_inputs

    def fit_held_out(self, X, y, folds):
        """Fit on all rows, and return scores by selectors that have not seen the row."""
        check_choice(self.head_inputs, "head_inputs", ("both", "features", "confidence"))
        import_extra("torch", "torch")
        from abstain.solvers import selective

        inputs = as_inputs(X)
        codes = np.searchsorted(inputs.classes, y)
        design, log_proba = self._design(inputs), np.maximum(inputs.log_proba, _FLOOR)
        self.mean_, self.scale_ = design.mean, design.scale
        prior = max_probability(log_proba, input="logits")
        rng = check_random_state(self.random_state)

        def train(rows):
            return selective.train_selector(
                self.losses, design, log_proba, prior, codes, rows,
                hidden=check_hidden(self.hidden), training=self.training, seed=rng.randint(2**31),
                validate=lambda held, odds: {
                    "validation_loss": held_out_area(self.rank_by, log_proba[held], odds, codes[held])
                },
            )  # fmt: skip

        self.odds_ = np.full((design.n, len(self.losses)), np.nan)
        for seen, test in folds:
            layers, slope, _ = train(seen)
            self.odds_[test] = prior[test, None] * slope + forward.outputs(design, layers)[test]
        self.layers_, self.slope_, self.history_ = train(np.arange(design.n))
        reports = [
            report_selection(self.rank_by, coverage, log_proba, odds, codes)
            for coverage, odds in zip(self.coverages, self.odds_.T, strict=True)
        ]
        self.reports_ = dict(zip(self.coverages, reports, strict=True))
        scores = [selection_score(r.chosen, log_proba, u) for r, u in zip(reports, self.odds_.T, strict=True)]
        self.held_out_, self.column_ = np.column_stack(scores), 0
        return self.held_out_[:, 0]

    def score_samples(self, X):
        """Score of every sample; larger is safer."""
        inputs = as_inputs(X)
        log_proba = np.maximum(inputs.log_proba, _FLOOR)
        outputs = forward.outputs(self._design(inputs, mean=self.mean_, scale=self.scale_), self.layers_)
        odds = max_probability(log_proba, input="logits") * self.slope_[self.column_] + outputs[:, self.column_]
        return selection_score(self.reports_[self.coverages[self.column_]].chosen, log_proba, odds)

    def at(self, column):
        """Return the same head with another of its selectors in use."""
        other = copy.copy(self)
        other.column_ = column
        return other

    @staticmethod
    def _design(inputs, **moments):
        return Design(inputs.features, inputs.confidence, inputs.predicted, inputs.log_proba.shape[1], **moments)

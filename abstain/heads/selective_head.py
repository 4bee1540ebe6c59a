"""The selector behind a classifier that is already there."""

import copy

import numpy as np
from sklearn.base import BaseEstimator

from abstain.heads.ranking import held_out_area, report_all, selection_score
from abstain.outputs import LOWEST, compressed
from abstain.solvers import forward
from abstain.solvers.design import Design
from abstain.utils.borders import check_seed
from abstain.utils.validation import check_hidden
from abstain.views import as_view


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
    held_out_, odds_ : ndarray of shape (n_held_out, n_coverages)
        Held-out scores, and log-odds of the selectors.
    layers_, slope_ : list, ndarray of shape (n_coverages,)
        The perceptron, and the multiple of the prior.
    history_ : list of dict
        Losses by epoch.
    """

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
        """What a selective classifier shows this scorer; probabilities always, to start from."""
        return "confidence" if self.head_inputs == "confidence" else "both"

    def fit(self, X, codes, rows, held):
        """Learn from some rows of held-out predictions; others choose the epoch and the score.

        Parameters
        ----------
        X : View
            Features and class outputs of n samples.
        codes : ndarray of shape (n,)
            Indices of the true classes.
        rows, held : ndarray of int
            Rows to learn from, and rows to choose by.

        Returns
        -------
        self : object
            Fitted head.
        """
        view, hidden = as_view(X), check_hidden(self.hidden)
        network, self.history_ = self.trained(view, codes, rows, held, hidden)
        return self.learnt(network, view[held], codes[held])

    def trained(self, view, codes, rows, held, hidden):
        """Train the network on some rows; return it, and the history."""
        from abstain.solvers import selective

        design, log_proba, prior = self._parts(view)
        self.mean_, self.scale_, self.column_ = design.mean, design.scale, 0
        return selective.train_selector(
            self.losses, design, given(log_proba), prior, codes, rows, held, hidden=hidden, training=self.training,
            validate=lambda odds: {"validation_loss": held_out_area(self.rank_by, log_proba[held], odds, codes[held])},
            seed=check_seed(self.random_state).randint(2**31),
        )  # fmt: skip

    def learnt(self, network, held, codes):
        """Take what a network has learnt, and report what it says of samples that were held out.

        Parameters
        ----------
        network : SelectorNetwork
            Trained.
        held : View
            The samples.
        codes : ndarray of shape (n_held_out,)
            Indices of their true classes.

        Returns
        -------
        self : object
            Fitted head.
        """
        self.layers_, self.slope_ = network.arrays(), network.slopes()
        design, log_proba, prior = self._parts(held, mean=self.mean_, scale=self.scale_)
        self.odds_ = self._odds(design, prior)
        self.reports_, self.held_out_ = report_all(self.rank_by, self.coverages, log_proba, self.odds_, codes)
        return self

    def score_samples(self, X):
        """Score of every sample; larger is safer."""
        design, log_proba, prior = self._parts(as_view(X), mean=self.mean_, scale=self.scale_)
        kind = self.reports_[self.coverages[self.column_]].chosen
        return selection_score(kind, log_proba, self._odds(design, prior)[:, self.column_])

    def at(self, column):
        """Return the same head with another of its selectors in use."""
        other = copy.copy(self)
        other.column_ = column
        return other

    def _parts(self, view, **moments):
        """What the perceptron sees, log-probabilities, and the prior that they make."""
        log_proba = view.outputs.log_proba
        confident = (view.confidence, view.answer, log_proba.shape[1])
        if self.head_inputs == "features":
            confident = (None, None, 0)
        design = Design(view.features, *confident, **moments)
        return design, log_proba, view.outputs.log_odds

    def _odds(self, design, prior):
        return prior[:, None] * self.slope_ + forward.outputs(design, self.layers_)


def given(log_proba):
    """Log-probabilities of a classifier as the losses take them: finite, with tails that still differ."""
    return compressed(np.maximum(log_proba, LOWEST))

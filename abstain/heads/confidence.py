"""Maximum probability as a scorer: what a head that has too little to learn from is replaced by."""

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator

from abstain.solvers.logistic import fit_platt


class RecalibratedConfidence(BaseEstimator):
    """Probability of the answer, turned into P(correct) on held-out outcomes; its order stays.

    Attributes
    ----------
    limit_ : float
        Log-odds that the samples can speak of; beyond, there is order and little else.
    weight_, intercept_ : float
        Of the log-odds of the answer.
    """

    sees, means = "outputs", "P(correct)"

    def fit(self, outputs, correct):
        """Learn slope and intercept.

        Parameters
        ----------
        outputs : ClassOutputs
            Held-out outputs of n samples.
        correct : ndarray of shape (n,) of bool
            Whether each answer is right.

        Returns
        -------
        self : object
            Fitted scorer.
        """
        self.limit_ = float(np.log(len(correct) + 1))
        weights, self.intercept_ = fit_platt(self.bounded(outputs)[:, None], np.asarray(correct, dtype=bool))
        self.weight_ = float(weights[0])
        return self

    def fit_held_out(self, outputs, correct, folds):
        """Fit, and score the same samples: two numbers that keep the order need no folds."""
        return self.fit(outputs, correct).score_samples(outputs)

    def score_samples(self, outputs):
        """P(correct) of every sample, (n,)."""
        return expit(self.log_odds(outputs))

    def log_odds(self, outputs):
        """Log-odds of P(correct), (n,)."""
        return self.weight_ * self.bounded(outputs) + self.intercept_

    def bounded(self, outputs):
        """Log-odds of the answers that n samples can speak of: those beyond one in n keep their order alone."""
        return bounded(outputs.log_odds, self.limit_)


def bounded(odds, limit):
    """Log-odds within a limit, beyond which they keep their order and little else."""
    excess = np.maximum(np.abs(odds) - limit, 0)
    return np.clip(odds, -limit, limit) + 0.01 * np.sign(odds) * np.log1p(excess)

"""A head that counts in part, the rest being maximum probability."""

from scipy.special import expit
from sklearn.base import BaseEstimator

from abstain.heads.confidence import RecalibratedConfidence
from abstain.outputs import log_odds_of
from abstain.protocols import score_of
from abstain.solvers.logistic import fit_platt


class FadedHead(BaseEstimator):
    """P(correct) whose log-odds are in part those of a fitted head, and in part those of maximum probability.

    Parameters
    ----------
    head : TrustHead or TunedTrustHead
        Fitted.
    share : float
        Of the head, in (0, 1).

    Attributes
    ----------
    confidence_ : RecalibratedConfidence
        The other part.
    slope_, intercept_ : float
        They make P(correct) of the mixture.
    """

    means = "P(correct)"

    def __init__(self, head, share):
        self.head = head
        self.share = share

    @property
    def sees(self):
        """What a selective classifier shows this scorer."""
        return self.head.sees

    def fit_scores(self, score, outputs, correct):
        """Learn from held-out scores.

        Parameters
        ----------
        score : ndarray of shape (n,)
            Held-out scores of the head, in [0, 1].
        outputs : ClassOutputs
            What the classifier said of the same samples.
        correct : ndarray of shape (n,) of bool
            Whether each answer is right.

        Returns
        -------
        self : object
            Fitted.
        """
        self.confidence_ = RecalibratedConfidence().fit(outputs, correct)
        self.slope_, self.intercept_ = 1.0, 0.0
        slopes, self.intercept_ = fit_platt(self._log_odds(score, outputs)[:, None], correct)
        self.slope_ = float(slopes[0])
        return self

    def mixed(self, score, outputs):
        """P(correct), (n,), from scores of the head and class outputs of the same samples."""
        return expit(self._log_odds(score, outputs))

    def score_samples(self, view):
        """P(correct) of the samples in a view, (n,)."""
        return self.mixed(score_of(self.head, view), view.outputs)

    def _log_odds(self, score, outputs):
        mixture = self.share * log_odds_of(score) + (1 - self.share) * self.confidence_.log_odds(outputs)
        return self.slope_ * mixture + self.intercept_

"""Scores with a few numbers to learn from held-out data: MaxLogit-pNorm, REL-U and SIRC.

They take logits; log-probabilities are logits, so any classifier serves.
"""

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from abstain.metrics import aurc
from abstain.scores.inputs import HeadInputs, as_inputs, unit_target
from abstain.scores.probability import log_probabilities, max_probability
from abstain.utils.validation import check_unit, row_blocks

# A class that cannot be has log-probability -inf; norms need a number, far below the largest.
_FLOOR = -700.0


def _finite_logits(logits):
    logits = np.asarray(logits, dtype=np.float64)
    top = logits.max(axis=-1, keepdims=True, initial=-np.inf)
    return np.maximum(logits, np.where(np.isfinite(top), top, 0.0) + _FLOOR)


class _LogitScorer(BaseEstimator):
    """Shared face of the scorers that see logits: validation, blocks, one hook."""

    sees = "log_proba"
    target = "correct"

    def _check(self, logits, **options):
        finite = _finite_logits(logits) if isinstance(logits, np.ndarray) and logits.dtype.kind == "f" else logits
        return validate_data(self, finite, dtype=np.float64, ensure_min_features=2, **options)

    def score_samples(self, logits):
        """Score samples.

        Parameters
        ----------
        logits : array-like of shape (n, n_classes)
            Logits or log-probabilities.

        Returns
        -------
        score : ndarray of shape (n,)
            Larger is safer.
        """
        check_is_fitted(self)
        logits = self._check(logits, reset=False)
        return np.concatenate([self._score(logits[rows]) for rows in row_blocks(*logits.shape)])


class MaxLogitPNorm(_LogitScorer):
    r"""Largest centred logit over the p-norm of the centred logits, with maximum probability as a fall-back.

    Parameters
    ----------
    exponents : tuple of int, default=(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
        Candidates for p; 0 leaves the centred logit undivided.

    Attributes
    ----------
    p_ : int or None
        The exponent of smallest AURC on the data of ``fit``; None where none beats maximum probability.
    n_features_in_ : int
        Number of classes.

    Notes
    -----
    :math:`\max_k (z_k - \bar z) / \lVert z - \bar z \rVert_p`. It mends the ranking of networks whose maximum
    probability is broken by label smoothing or mixup. With two classes it is constant, hence the fall-back.

    References
    ----------
    L. F. P. Cattelan, D. Silva, "How to Fix a Broken Confidence Estimator", UAI 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.scores import MaxLogitPNorm
    >>> rng = np.random.default_rng(0)
    >>> logits = rng.normal(size=(50, 4))
    >>> MaxLogitPNorm().fit(logits, rng.random(50) < 0.7).score_samples(logits).shape
    (50,)
    """

    def __init__(self, exponents=tuple(range(10))):
        self.exponents = exponents

    def fit(self, logits, y):
        """Choose p on held-out data.

        Parameters
        ----------
        logits : array-like of shape (n, n_classes)
            Logits or log-probabilities.
        y : array-like of shape (n,)
            Correctness, 1 = right, or a graded one in [0, 1].

        Returns
        -------
        self : object
            Fitted scorer.
        """
        logits = self._check(logits)
        loss = 1 - unit_target(y, n=len(logits))
        candidates = [None, *self.exponents] if logits.shape[1] > 2 else [None]
        areas = [aurc(None, self._normed(logits, p), loss=loss) for p in candidates]
        self.p_ = candidates[int(np.argmin(areas))]
        return self

    def _score(self, logits):
        return self._normed(logits, self.p_)

    @staticmethod
    def _normed(logits, p):
        if p is None:
            return max_probability(logits, input="logits")
        centred = logits - logits.mean(axis=1, keepdims=True)
        if p == 0:
            return centred.max(axis=1)
        scale = np.abs(centred).max(axis=1, keepdims=True) + 1e-300  # keeps the powers within range
        return (centred / scale).max(axis=1) / np.linalg.norm(centred / scale, ord=p, axis=1).clip(1e-300)


class RelU(_LogitScorer):
    r"""Relative uncertainty (REL-U): which *pairs* of classes are confused when the prediction is wrong.

    Parameters
    ----------
    lam : float, default=0.5
        Weight of the errors against the correct predictions, in (0, 1).
    temperature : float, default=1.0
        Temperature of the softmax, positive.

    Attributes
    ----------
    matrix_ : ndarray of shape (n_classes, n_classes)
        Symmetric, non-negative, zero on the diagonal, Frobenius norm 1.
    n_features_in_ : int
        Number of classes.

    Notes
    -----
    The score is :math:`-p^\top D p` with :math:`D = \max(0, \lambda E[pp^\top | err] - (1-\lambda) E[pp^\top | ok])`
    off the diagonal; where that is zero, D = 1 - I, which is the Gini score. It learns K(K-1)/2 numbers: give it
    many more errors than that, or few classes.

    References
    ----------
    E. Dadalto et al., "A Data-Driven Measure of Relative Uncertainty for Misclassification Detection", ICLR 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.scores import RelU
    >>> rng = np.random.default_rng(0)
    >>> logits = rng.normal(size=(50, 3))
    >>> RelU().fit(logits, rng.random(50) < 0.7).matrix_.diagonal()
    array([0., 0., 0.])
    """

    def __init__(self, lam=0.5, temperature=1.0):
        self.lam = lam
        self.temperature = temperature

    def fit(self, logits, y):
        """Learn the matrix from held-out predictions.

        Parameters
        ----------
        logits : array-like of shape (n, n_classes)
            Logits or log-probabilities.
        y : array-like of shape (n,)
            Correctness, 1 = right, or a graded one in [0, 1].

        Returns
        -------
        self : object
            Fitted scorer.
        """
        logits = self._check(logits)
        lam = check_unit(self.lam, "lam")
        right = unit_target(y, n=len(logits))
        D = lam * self._second_moment(logits, 1 - right) - (1 - lam) * self._second_moment(logits, right)
        D = np.maximum(D, 0.0)
        np.fill_diagonal(D, 0.0)
        if not D.any():
            D = 1.0 - np.eye(D.shape[0])
        self.matrix_ = D / np.linalg.norm(D)
        return self

    def _second_moment(self, logits, weight):
        total = np.zeros((logits.shape[1],) * 2)
        for rows in row_blocks(*logits.shape):
            p = self._softmax(logits[rows])
            total += (p * weight[rows, None]).T @ p
        return total / max(weight.sum(), np.finfo(float).tiny)

    def _softmax(self, logits):
        return softmax(logits / self.temperature, axis=1)

    def _score(self, logits):
        p = self._softmax(logits)
        return -((p @ self.matrix_) * p).sum(axis=1)


class SIRC(BaseEstimator):
    r"""Maximum probability, lowered softly where the feature norm says "unlike anything seen" (SIRC).

    Parameters
    ----------
    secondary : callable, default=None
        Features ``(n, d) -> (n,)``, larger = more like the data of ``fit``. None is the L1 norm.

    Attributes
    ----------
    center_, scale_ : float
        Where the secondary score starts to count, mean - 3 sd on the data of ``fit``, and how sharply, 1 / sd.
    n_features_in_ : int
        Number of features.

    Notes
    -----
    :math:`-[\log(1 - S_1) + \log(1 + e^{-b (S_2 - a)})]`: on data like those of ``fit`` the second term is flat
    and the order is that of maximum probability. A plain matrix given as input serves as logits and as features.

    References
    ----------
    G. Xia, C.-S. Bouganis, "Augmenting Softmax Information for Selective Classification with
    Out-of-Distribution Data", ACCV 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.scores import SIRC
    >>> logits = np.random.default_rng(0).normal(size=(50, 3))
    >>> SIRC().fit(logits).score_samples(logits).shape
    (50,)
    """

    sees = "both"
    target = "correct"

    def __init__(self, secondary=None):
        self.secondary = secondary

    def fit(self, X, y=None):
        """Learn the location and scale of the secondary score.

        Parameters
        ----------
        X : array-like of shape (n, d), or head inputs
            Features with log-probabilities; a plain matrix serves as both.
        y : object, default=None
            Ignored; present for the scorer convention.

        Returns
        -------
        self : object
            Fitted scorer.
        """
        second = self._secondary(self._parts(X).features)
        deviation = second.std()
        self.center_ = float(second.mean() - 3 * deviation)
        self.scale_ = float(1 / deviation) if deviation > 0 else 1.0
        return self

    def score_samples(self, X):
        """Score samples.

        Parameters
        ----------
        X : array-like of shape (n, d), or head inputs
            Features with log-probabilities; a plain matrix serves as both.

        Returns
        -------
        score : ndarray of shape (n,)
            Larger is safer.
        """
        check_is_fitted(self)
        parts = self._parts(X, reset=False)
        log_doubt = -np.logaddexp(0, max_probability(parts.log_proba, input="logits"))
        novelty = np.logaddexp(0, -self.scale_ * (self._secondary(parts.features) - self.center_))
        return -(log_doubt + novelty)

    def _parts(self, X, reset=True):
        inputs = as_inputs(X)
        features = validate_data(self, inputs.features, reset=reset, dtype="numeric", ensure_min_features=2)
        log_proba = log_probabilities(features, "logits") if inputs.log_proba is None else inputs.log_proba
        return HeadInputs(features, log_proba)

    def _secondary(self, features):
        if self.secondary is not None:
            return np.asarray(self.secondary(features), dtype=np.float64)
        blocks = row_blocks(*features.shape)
        return np.concatenate([np.abs(features[rows]).sum(axis=1, dtype=np.float64) for rows in blocks])

"""Difficulty of samples relative to that of all samples together."""

from abstain.scores.gaussian.leave_one_out import LeftOut
from abstain.scores.gaussian.mahalanobis import Mahalanobis


class RelativeMahalanobis(Mahalanobis):
    r"""Relative Mahalanobis distance: to a class, less that to all samples together.

    An easy sample is close to its class and far from the average; a hard one has little of either. Parameters,
    attributes and methods are those of `Mahalanobis`.

    Parameters
    ----------
    at : {"nearest", "predicted"}, default="nearest"
        Which class `score_samples` measures to: the nearest one, which tells novelty, or the one that the classifier
        predicts, which needs a classifier in front.
    shrinkage : {"oas", "ledoit_wolf"} or float, default="oas"
        Weight of the diagonal in the shared covariance.
    normalize : bool, default=False
        Whether to divide every sample by its norm first.
    loo : bool or "auto", default="auto"
        Whether `training_difficulty` leaves each sample out of the model that measures it.
    precision : {"float64", "float32"}, default="float64"
        Arithmetic of the products in `fit`.

    Attributes
    ----------
    classes_, statistics_, n_features_in_ : object
        As in `Mahalanobis`.

    Notes
    -----
    :math:`D(x, k) = (x - \mu_k)^\top \Sigma^{-1} (x - \mu_k) - (x - \mu)^\top \Sigma_a^{-1} (x - \mu)`, where
    :math:`\Sigma_a = \Sigma + B` is the shrunk covariance plus that of the class means. It is measured in the at most
    K - 1 directions between the class means, since all others cancel. Its mean over the training samples is 0 at
    shrinkage 0.

    References
    ----------
    J. Ren et al., "A Simple Fix to Mahalanobis Distance for Improving Near-OOD Detection", arXiv 2106.09022, 2021.
    P. Cui et al., "Learning Sample Difficulty from Pre-trained Models for Reliable Prediction", NeurIPS 2023.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from abstain import RelativeMahalanobis
    >>> X, y = load_iris(return_X_y=True)
    >>> flipped = y.copy()
    >>> flipped[:5] = 2
    >>> difficulty = RelativeMahalanobis().fit(X, flipped).training_difficulty(X, flipped)
    >>> sorted(difficulty.argsort()[-5:].tolist())
    [0, 1, 2, 3, 4]
    """

    def _directions(self, gaussian):
        basis, variance = gaussian.discriminant()
        return basis, variance / (1 + variance)

    def _leave_one_out(self):
        left_out = LeftOut(self._gaussian())
        to_class, to_all = left_out.to_class(), left_out.to_all()
        return lambda rows, codes: to_class(rows, codes) - to_all(rows, codes)

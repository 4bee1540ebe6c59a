"""Labels with class probabilities: checked once, and the two proper losses that lead every table."""

from dataclasses import dataclass

import numpy as np

from abstain.utils.validation import check_labels, check_proba, check_weight

# as scikit-learn's log_loss has it: what a probability of zero costs
_SMALLEST = 2.0**-52


@dataclass(frozen=True, eq=False)
class LabelledProba:
    """Probabilities (n, K), and the index of the true class of each sample (n,)."""

    proba: np.ndarray
    codes: np.ndarray
    classes: np.ndarray
    weight: np.ndarray

    def __getitem__(self, rows):
        return LabelledProba(self.proba[rows], self.codes[rows], self.classes, self.weight[rows])

    @property
    def correct(self):
        """Whether the likeliest class is the true one, (n,)."""
        return self.proba.argmax(axis=1) == self.codes

    @property
    def confidence(self):
        """Largest probability, (n,)."""
        return self.proba.max(axis=1)

    @property
    def own(self):
        """Probability of the true class, (n,)."""
        return np.take_along_axis(self.proba, self.codes[:, None], axis=1)[:, 0]

    @property
    def log_losses(self):
        """Log-loss of each sample, (n,)."""
        return -np.log(np.maximum(self.own, _SMALLEST))

    @property
    def brier_scores(self):
        """Squared error of each row of probabilities, summed over classes, (n,)."""
        return np.einsum("ij,ij->i", self.proba, self.proba) + 1.0 - 2.0 * self.own

    def mean(self, losses):
        """Weighted mean of something that there is of each sample."""
        return float(self.weight @ losses / self.weight.sum())


def labelled(y_true, proba, classes=None, sample_weight=None) -> LabelledProba:
    """Check labels and probabilities.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        Labels.
    proba : array-like of shape (n, n_classes)
        Probabilities.
    classes : array-like of shape (n_classes,), default=None
        Labels of the columns; None is 0, 1, ...
    sample_weight : array-like of shape (n,), default=None
        Weights.

    Returns
    -------
    labelled : LabelledProba
        In float64.

    Raises
    ------
    ValueError
        If rows do not sum to one, or a label is none of the classes.
    """
    proba = check_proba(proba).astype(np.float64)
    classes = np.arange(proba.shape[1]) if classes is None else np.asarray(classes)
    if classes.shape != (proba.shape[1],) or len(set(classes.tolist())) != proba.shape[1]:
        raise ValueError(
            f"classes must name the {proba.shape[1]} columns of proba, all differently; got {classes.tolist()}."
        )
    y_true = check_labels(y_true, classes, len(proba), "y_true")
    order = np.argsort(classes)
    place = np.minimum(np.searchsorted(classes[order], y_true), len(classes) - 1)
    codes = order[place]
    if not (classes[codes] == y_true).all():
        strange = np.unique(y_true[classes[codes] != y_true])[:5].tolist()
        raise ValueError(f"y_true holds {strange}, which are not among the classes {classes[:5].tolist()}.")
    return LabelledProba(proba, codes, classes, check_weight(sample_weight, len(proba)))

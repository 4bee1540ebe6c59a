"""Observed frequency against confidence."""

from abstain.metrics._calibration import reliability_curve
from abstain.metrics._labelled import labelled
from abstain.metrics.displays._shared import new_axes
from abstain.utils.validation import check_choice


class ReliabilityDisplay:
    """Observed frequency against confidence, for the predicted class or for each class.

    Parameters
    ----------
    curves : list of (str, ndarray, ndarray, ndarray)
        Name, mean confidence, frequency and share of the samples of each curve's bins.
    kind : {"top-label", "per-class"}
        What the confidence is of.

    Attributes
    ----------
    ax_, figure_, lines_ : matplotlib objects
        After `plot`.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from abstain.metrics import ReliabilityDisplay
    >>> display = ReliabilityDisplay.from_predictions([0, 1, 1], [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]])
    >>> len(display.lines_)
    1
    """

    def __init__(self, curves, *, kind="top-label"):
        self.curves = curves
        self.kind = kind

    def plot(self, ax=None, **kwargs):
        """Draw the curves; the area of a marker is the share of the samples in its bin.

        The line passes through bins with at least 1 % of the samples.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            None makes new ones.
        **kwargs : dict
            Passed to ``ax.plot``.

        Returns
        -------
        display : ReliabilityDisplay
            Itself.
        """
        ax = new_axes(ax)
        ax.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--")
        self.lines_ = []
        for name, confidence, frequency, share in self.curves:
            told = share >= 0.01  # a bin of a few samples is a dot, not a turn of the line
            (line,) = ax.plot(confidence[told], frequency[told], **({"label": name} | kwargs))
            ax.scatter(confidence, frequency, s=10 + 300 * share, color=line.get_color(), alpha=0.5)
            self.lines_.append(line)
        ax.set(xlabel="Confidence", ylabel="Observed frequency", xlim=(0, 1), ylim=(0, 1), aspect="equal")
        if len(self.curves) <= 12:
            ax.legend(loc="upper left", fontsize="small")
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_estimator(cls, estimator, X, y, *, kind="top-label", n_bins=15, ax=None, **kwargs):
        """Draw the reliability of a fitted classifier.

        Parameters
        ----------
        estimator : classifier
            Fitted, with ``predict_proba``.
        X, y : array-like
            Test data.
        kind : {"top-label", "per-class"}, default="top-label"
            Confidence of the predicted class, or one curve a class.
        n_bins : int, default=15
            Equal-width bins.
        ax : matplotlib axes, default=None
            None makes new ones.
        **kwargs : dict
            Passed to ``ax.plot``.

        Returns
        -------
        display : ReliabilityDisplay
            Drawn.
        """
        options = {"classes": estimator.classes_, "kind": kind, "n_bins": n_bins}
        return cls.from_predictions(y, estimator.predict_proba(X), **options, ax=ax, **kwargs)

    @classmethod
    def from_predictions(cls, y_true, proba, *, classes=None, kind="top-label", n_bins=15, ax=None, **kwargs):
        """Draw the reliability of class probabilities.

        Parameters
        ----------
        y_true : array-like of shape (n,)
            Labels.
        proba : array-like of shape (n, n_classes)
            Probabilities.
        classes : array-like of shape (n_classes,), default=None
            Labels of the columns; None is 0, 1, ...
        kind : {"top-label", "per-class"}, default="top-label"
            Confidence of the predicted class, or one curve a class.
        n_bins : int, default=15
            Equal-width bins.
        ax : matplotlib axes, default=None
            None makes new ones.
        **kwargs : dict
            Passed to ``ax.plot``.

        Returns
        -------
        display : ReliabilityDisplay
            Drawn.
        """
        check_choice(kind, "kind", ("top-label", "per-class"))
        data = labelled(y_true, proba, classes)
        if kind == "top-label":
            curves = [("predicted class", *reliability_curve(data.correct, data.confidence, n_bins=n_bins))]
        else:
            columns = enumerate(zip(data.classes, data.proba.T, strict=True))
            curves = [(str(c), *reliability_curve(data.codes == k, p, n_bins=n_bins)) for k, (c, p) in columns]
        return cls(curves, kind=kind).plot(ax, **kwargs)

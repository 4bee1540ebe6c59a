"""Pictures: risk against coverage, confidence against frequency, scores of right and wrong. matplotlib on use."""

import numpy as np

from abstain.metrics._calibration import reliability_curve
from abstain.metrics._risk_coverage import aurc, risk_coverage_curve
from abstain.utils.optional import import_extra
from abstain.utils.validation import check_choice, check_score_correct


def _axes(ax):
    if ax is None:
        _, ax = import_extra("matplotlib.pyplot", "plot").subplots()
    return ax


def _held_out(estimator, X, y):
    """Correctness, score and probabilities of a fitted estimator on labelled data."""
    proba = estimator.predict_proba(X)
    correct = estimator.classes_[proba.argmax(axis=1)] == np.asarray(y)
    return correct, estimator.score_samples(X), proba


class RiskCoverageDisplay:
    """Selective risk at every coverage, with the operating point of a policy.

    Parameters
    ----------
    coverage, risk : ndarray of shape (n_thresholds,)
        The curve.
    aurc : float
        The area under it.
    name : str, default=None
        Label of the curve.
    operating_point : tuple of float, default=None
        Coverage and risk of a threshold in use.
    target_risk : float, default=None
        A risk to draw as a line.

    Attributes
    ----------
    ax_, figure_, line_ : matplotlib objects
        After `plot`.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from abstain.metrics import RiskCoverageDisplay
    >>> display = RiskCoverageDisplay.from_predictions([1, 1, 0, 1], [0.9, 0.8, 0.3, 0.6])
    >>> display.ax_.get_xlabel()
    'Coverage'
    """

    def __init__(self, coverage, risk, aurc, *, name=None, operating_point=None, target_risk=None):
        self.coverage = coverage
        self.risk = risk
        self.aurc = aurc
        self.name = name
        self.operating_point = operating_point
        self.target_risk = target_risk

    def plot(self, ax=None, *, name=None, **kwargs):
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            None makes new ones.
        name : str, default=None
            Label of the curve.
        **kwargs : dict
            Passed to ``ax.plot``.

        Returns
        -------
        display : RiskCoverageDisplay
            Itself.
        """
        ax, name = _axes(ax), name or self.name
        label = f"AURC {self.aurc:.4f}" if name is None else f"{name} (AURC {self.aurc:.4f})"
        (self.line_,) = ax.plot(self.coverage, self.risk, drawstyle="steps-post", **({"label": label} | kwargs))
        if self.operating_point is not None:
            ax.plot(*self.operating_point, "o", color=self.line_.get_color(), markersize=7)
        if self.target_risk is not None:
            ax.axhline(self.target_risk, color="0.5", linewidth=1, linestyle="--")
        ax.set(xlabel="Coverage", ylabel="Selective risk", xlim=(0, 1))
        ax.set_ylim(bottom=0)
        ax.legend(loc="upper left")
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_estimator(cls, estimator, X, y, *, name=None, ax=None, **kwargs):
        """Draw the curve of a selective classifier, with the point where its policy stands.

        Parameters
        ----------
        estimator : selective classifier
            Fitted.
        X, y : array-like
            Test data.
        name : str, default=None
            Label; None is the class name.
        ax : matplotlib axes, default=None
            None makes new ones.
        **kwargs : dict
            Passed to ``ax.plot``.

        Returns
        -------
        display : RiskCoverageDisplay
            Drawn.
        """
        correct, score, _ = _held_out(estimator, X, y)
        accepted = estimator.policy_.accept(score)
        point = (accepted.mean(), 1 - correct[accepted].mean()) if accepted.any() else None
        target = getattr(estimator.policy_, "risk", None)
        name = type(estimator).__name__ if name is None else name
        options = {"operating_point": point, "target_risk": target, "name": name}
        return cls._computed(correct, score, options).plot(ax, **kwargs)

    @classmethod
    def from_predictions(cls, correct, score, *, name=None, ax=None, **kwargs):
        """Draw the curve of a score.

        Parameters
        ----------
        correct : array-like of shape (n,)
            Whether each prediction is right.
        score : array-like of shape (n,)
            Confidence, larger is safer.
        name : str, default=None
            Label.
        ax : matplotlib axes, default=None
            None makes new ones.
        **kwargs : dict
            Passed to ``ax.plot``.

        Returns
        -------
        display : RiskCoverageDisplay
            Drawn.
        """
        return cls._computed(correct, score, {"name": name}).plot(ax, **kwargs)

    @classmethod
    def _computed(cls, correct, score, options):
        coverage, risk, _ = risk_coverage_curve(correct, score)
        return cls(coverage, risk, aurc(correct, score), **options)


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
        ax = _axes(ax)
        ax.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--")
        self.lines_ = []
        for name, confidence, frequency, share in self.curves:
            (line,) = ax.plot(confidence, frequency, **({"label": name} | kwargs))
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
        y_true, proba = np.asarray(y_true), np.asarray(proba, dtype=np.float64)
        classes = np.arange(proba.shape[1]) if classes is None else np.asarray(classes)
        if kind == "top-label":
            correct = classes[proba.argmax(axis=1)] == y_true
            curves = [("predicted class", *reliability_curve(correct, proba.max(axis=1), n_bins=n_bins))]
        else:
            columns = zip(classes, proba.T, strict=True)
            curves = [(str(c), *reliability_curve(y_true == c, p, n_bins=n_bins)) for c, p in columns]
        return cls(curves, kind=kind).plot(ax, **kwargs)


class TrustHistogramDisplay:
    """Histograms of the score of right and of wrong predictions, with the threshold in use.

    Parameters
    ----------
    right, wrong : ndarray
        Scores of right and of wrong predictions.
    threshold : float, default=None
        The threshold of a policy.

    Attributes
    ----------
    ax_, figure_ : matplotlib objects
        After `plot`.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from abstain.metrics import TrustHistogramDisplay
    >>> TrustHistogramDisplay.from_predictions([1, 1, 0], [0.9, 0.8, 0.3]).ax_.get_xlabel()
    'Score'
    """

    def __init__(self, right, wrong, *, threshold=None):
        self.right = right
        self.wrong = wrong
        self.threshold = threshold

    def plot(self, ax=None, *, bins=30, **kwargs):
        """Draw the histograms, each of area one, so that few errors stay visible.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            None makes new ones.
        bins : int, default=30
            Number of bins.
        **kwargs : dict
            Passed to ``ax.hist``.

        Returns
        -------
        display : TrustHistogramDisplay
            Itself.
        """
        ax = _axes(ax)
        edges = np.histogram_bin_edges(np.concatenate([self.right, self.wrong]), bins)
        for values, label, color in ((self.right, "right", "tab:blue"), (self.wrong, "wrong", "tab:red")):
            if values.size:
                options = {"density": True, "alpha": 0.5, "color": color, "label": f"{label} ({values.size})"}
                ax.hist(values, edges, **(options | kwargs))
        if self.threshold is not None and np.isfinite(self.threshold):
            ax.axvline(self.threshold, color="0.2", linewidth=1.5, linestyle="--", label="threshold")
        ax.set(xlabel="Score", ylabel="Density")
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_estimator(cls, estimator, X, y, *, ax=None, **kwargs):
        """Draw the scores of a selective classifier.

        Parameters
        ----------
        estimator : selective classifier
            Fitted.
        X, y : array-like
            Test data.
        ax : matplotlib axes, default=None
            None makes new ones.
        **kwargs : dict
            Passed to ``ax.hist``.

        Returns
        -------
        display : TrustHistogramDisplay
            Drawn.
        """
        correct, score, _ = _held_out(estimator, X, y)
        return cls(score[correct], score[~correct], threshold=estimator.policy_.threshold_).plot(ax, **kwargs)

    @classmethod
    def from_predictions(cls, correct, score, *, threshold=None, ax=None, **kwargs):
        """Draw the scores of right and of wrong predictions.

        Parameters
        ----------
        correct : array-like of shape (n,)
            Whether each prediction is right.
        score : array-like of shape (n,)
            Confidence, larger is safer.
        threshold : float, default=None
            A threshold to draw.
        ax : matplotlib axes, default=None
            None makes new ones.
        **kwargs : dict
            Passed to ``ax.hist``.

        Returns
        -------
        display : TrustHistogramDisplay
            Drawn.
        """
        score, correct = check_score_correct(score, correct)
        return cls(score[correct], score[~correct], threshold=threshold).plot(ax, **kwargs)

"""How far mistakes are from the truth."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from abstain.metrics._held_out import held_out
from abstain.metrics._severity import severity_report, wrong_distances
from abstain.metrics.displays._shared import new_axes
from abstain.utils.validation import check_count


class MistakeDistanceDisplay:
    """Mistakes by their distance to the truth, of one classifier or of several on the same samples.

    Parameters
    ----------
    distances : dict of str to ndarray
        Distances of the mistakes of each classifier.
    reports : dict of str to SeverityReport
        What else there is to say of them.

    Attributes
    ----------
    ax_, figure_ : matplotlib objects
        After `plot`.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from abstain.metrics import MistakeDistanceDisplay
    >>> distance = [[0, 1, 5], [1, 0, 5], [5, 5, 0]]
    >>> display = MistakeDistanceDisplay.from_predictions([0, 1, 2, 2], {"one": [1, 1, 0, 2]}, distance)
    >>> display.ax_.get_xlabel()
    'Distance of a mistake to the truth'
    """

    def __init__(self, distances: dict[str, np.ndarray], reports: dict) -> None:
        self.distances = distances
        self.reports = reports

    def plot(self, ax: Any = None, *, bins: int = 20, **kwargs: Any) -> MistakeDistanceDisplay:
        """Draw a bar for each distance, or, where there are many, for each of some ranges.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            None makes new ones.
        bins : int, default=20
            Bars for each classifier, at most.
        **kwargs : dict
            Passed to ``ax.bar``.

        Returns
        -------
        display : MistakeDistanceDisplay
            Itself.
        """
        check_count(bins, "bins")
        ax = new_axes(ax)
        everything = np.concatenate(list(self.distances.values()))
        levels = np.unique(everything)
        many = levels.size > bins
        edges = np.histogram_bin_edges(everything, bins) if many else np.append(levels, np.inf)
        step = np.diff(edges[: -1 if not many else None]).min() if edges.size > 2 else 1.0
        width = 0.8 * step / len(self.distances)
        shift = 0.5 * step if many else 0.0
        highest = 0.0
        for place, (name, distances) in enumerate(self.distances.items()):
            report = self.reports[name]
            count = np.histogram(distances, edges)[0]
            at = edges[:-1] + shift + (place - 0.5 * (len(self.distances) - 1)) * width
            label = f"{name}: accuracy {report.accuracy:.3f}, mean distance {report.mean_distance:.3g}"
            highest = max(highest, count.max() / report.n)
            ax.bar(at, count / report.n, width, **({"label": label} | kwargs))
        room = 1.1 + 0.1 * len(self.distances)  # for the legend
        ax.set(xlabel="Distance of a mistake to the truth", ylabel="Share of all samples", ylim=(0, room * highest))
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: ArrayLike, distance: Any, *, ax: Any = None, **kwargs: Any
    ) -> MistakeDistanceDisplay:
        """Draw the mistakes of a selective classifier, whatever it abstains on.

        Parameters
        ----------
        estimator : selective classifier
            Fitted.
        X, y : array-like
            Test data.
        distance : array-like of shape (n_classes, n_classes), or ClassSemantics
            ``distance[truth, answer]``, in the order of ``classes_``.
        ax : matplotlib axes, default=None
            None makes new ones.
        **kwargs : dict
            Passed to `plot`.

        Returns
        -------
        display : MistakeDistanceDisplay
            Drawn.
        """
        held = held_out(estimator, X, y)
        answers = {type(held.classifier).__name__: held.answers[held.known]}
        classes = held.classifier.classes_
        return cls.from_predictions(held.labels[held.known], answers, distance, classes=classes, ax=ax, **kwargs)

    @classmethod
    def from_predictions(
        cls, y: ArrayLike, answers: Any, distance: Any, *, classes: ArrayLike | None = None, ax: Any = None,
        **kwargs: Any,
    ) -> MistakeDistanceDisplay:  # fmt: skip
        """Draw the mistakes among answers.

        Parameters
        ----------
        y : array-like of shape (n,)
            True labels.
        answers : array-like of shape (n,), or dict of str to array-like
            Answers of one classifier, or of several by name.
        distance : array-like of shape (n_classes, n_classes), or ClassSemantics
            ``distance[truth, answer]``.
        classes : array-like of shape (n_classes,), default=None
            Labels of rows and columns; None is those of the semantics, or 0, 1, ...
        ax : matplotlib axes, default=None
            None makes new ones.
        **kwargs : dict
            Passed to `plot`.

        Returns
        -------
        display : MistakeDistanceDisplay
            Drawn.
        """
        answers = answers if isinstance(answers, dict) else {"answers": answers}
        reports = {name: severity_report(y, given, distance, classes=classes) for name, given in answers.items()}
        found = {name: wrong_distances(y, given, distance, classes) for name, given in answers.items()}
        if not sum(map(len, found.values())):
            raise ValueError("answers hold no mistake: there is nothing to draw.")
        return cls(found, reports).plot(ax, **kwargs)

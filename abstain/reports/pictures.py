"""Pictures as text that a page holds."""

import base64
import io
from typing import Any

from abstain.utils.optional import import_extra

WIDTH, HEIGHT = 4.6, 3.3  # inches


def picture(draw) -> str:
    """Draw on axes, and return the picture as a data address of a PNG.

    Parameters
    ----------
    draw : callable
        ``draw(ax)``.
    """
    figures: Any = import_extra("matplotlib.figure", "plot")
    agg: Any = import_extra("matplotlib.backends.backend_agg", "plot")
    figure = figures.Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    agg.FigureCanvasAgg(figure)
    draw(figure.subplots())
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=140)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()

"""What the displays share; matplotlib is imported on use."""

from abstain.utils.optional import import_extra


def new_axes(ax):
    """The axes given, or new ones."""
    if ax is not None and not hasattr(ax, "plot"):
        raise TypeError(f"ax must be axes of matplotlib, or None; got {ax!r}.")
    if ax is None:
        _, ax = import_extra("matplotlib.pyplot", "plot").subplots()
    return ax

"""The least value of a convex function of a few numbers, each of which may have a lower bound."""

import numpy as np

_AT_BOUND = 1e-9
_SMALLEST, _LARGEST = 1e-8, 1e16  # share of the mean curvature that is added to it


def bounded_newton(value_at, slopes_at, start, least, *, max_iter=100, tol=1e-12):
    """Minimise by damped Newton steps among what is free to move, projected onto the bounds (Bertsekas, 1982).

    Parameters
    ----------
    value_at : callable
        ``(x) -> value``, infinite where x may not be.
    slopes_at : callable
        ``(x) -> (gradient, curvature)``, of shapes (m,) and (m, m).
    start : ndarray of shape (m,)
        Where to begin; the value is finite there.
    least : ndarray of shape (m,)
        Lower bounds; -inf is none.
    max_iter : int, default=100
        Steps at most.
    tol : float, default=1e-12
        Gain promised by a step, as a share of the value, at which to stop.

    Returns
    -------
    x : ndarray of shape (m,)
        The minimum.
    """
    x, damping = np.maximum(start, least), _SMALLEST
    value = value_at(x)
    for _ in range(max_iter):
        gradient, curvature = slopes_at(x)
        free = (x > least + _AT_BOUND) | (gradient < 0)
        inner, size = curvature[np.ix_(free, free)], np.trace(curvature) / len(x) + 1e-300
        while True:
            target = np.where(free, x, least)
            target[free] -= np.linalg.solve(inner + damping * size * np.eye(len(inner)), gradient[free])
            new = np.maximum(target, least)
            promised, new_value = gradient @ (x - new), value_at(new)
            if 0 <= promised <= tol * abs(value) or damping >= _LARGEST:
                return new if new_value < value else x
            if promised > 0 and new_value <= value - 1e-4 * promised:
                break
            damping *= 10.0
        damping = max(damping / 100.0, _SMALLEST)
        x, value = new, new_value
    return x

"""Hierarchical cross-entropy (HXE): the logarithmic loss of each step from the root of a tree to the true class."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from array_api_compat import device

from abstain.losses._base import check_strength, log_softmax, log_sum
from abstain.losses.softmax import SoftmaxLoss
from abstain.utils.annotations import Array
from abstain.utils.validation import check_number


@dataclass(frozen=True, eq=False)
class HXELoss:
    r"""Logarithmic loss of every step from the root to the true class, those further down counting less.

    Parameters
    ----------
    parents : array-like of shape (n_nodes,), default=None
        Node above each node, the classes first and -1 at the root, as in ``ClassSemantics.tree.parents``. None is a
        tree without inner nodes, plain cross-entropy.
    alpha : float, default=0.0
        How fast steps count less with their depth; 0 is plain cross-entropy.

    Notes
    -----
    .. math:: \ell(z, y) = -\sum_{v \text{ from } y \text{ to the root}} e^{-\alpha\,(d(v) - 1)}
        \log \frac{p(v)}{p(\mathrm{parent}(v))}

    with d the depth and p(v) the sum over the classes under v. The paper divides all weights by their sum over the
    tree, which only scales the learning rate. Each step has a positive weight that siblings share, so that the loss is
    proper: its minimum is calibrated.

    References
    ----------
    L. Bertinetto et al., "Making Better Mistakes: Leveraging Class Hierarchies with Deep Networks", CVPR 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.losses import HXELoss
    >>> loss = HXELoss([3, 3, 4, 4, -1], alpha=1.0)  # (0, 1) under node 3, and class 2
    >>> loss.value_and_derivative(np.zeros((2, 3)), np.array([0, 2]))[0].round(3)
    array([0.66 , 1.099])
    """

    parents: Any = None
    alpha: float = 0.0
    pulls: Any = field(init=False, repr=False, default=None)

    def __post_init__(self):
        check_number(self.alpha, "alpha", least=0)
        if self.parents is not None:
            object.__setattr__(self, "parents", np.asarray(self.parents))
            object.__setattr__(self, "pulls", _pulls(self.parents, self.alpha))

    def value_and_derivative(self, logits: Array, targets: Array, strength: Array = None) -> tuple[Array, Array]:
        """Loss of every sample and its derivative by the logits: ``(b, K), (b,) or (b, K) -> (b,), (b, K)``."""
        log_proba, shares, xp = log_softmax(logits, targets)
        if strength is not None:
            check_strength(strength, logits)
        if self.parents is None:
            return SoftmaxLoss().value_and_derivative(logits, targets)
        pulls = xp.asarray(self._of_nodes(logits), dtype=logits.dtype, device=device(logits))
        own = shares * pulls[:, : logits.shape[1]].diagonal()
        value, slope = -xp.sum(own * log_proba, axis=1), -own
        inner = (node for node in range(logits.shape[1], len(self.parents)) if self.pulls[:, node].any())
        for node in inner:
            leaves = np.flatnonzero(self.pulls[:, node])
            part, pull = log_proba[:, leaves], shares @ pulls[:, node]
            total = log_sum(part)
            value = value - pull * total
            slope[:, leaves] -= pull[:, None] * xp.exp(part - total[:, None])
        return value, slope

    def _of_nodes(self, logits):
        if len(self.pulls) != logits.shape[1]:
            raise ValueError(
                f"logits must have a column for each of the {len(self.pulls)} classes of the tree; got "
                f"{logits.shape[1]}."
            )
        return self.pulls


def _pulls(parents, alpha):
    """What each label pulls at log p(v) of each node: the weight of the step into it less that out of it, (K, n)."""
    n_classes = len(parents) - len(np.unique(parents[parents >= 0]))
    inner = np.arange(n_classes, len(parents))
    if parents.ndim != 1 or (parents < 0).sum() != 1 or not np.isin(inner, parents).all():
        raise ValueError(
            "parents must hold the node above each node, the classes first, and -1 at the one root: "
            "ClassSemantics.tree.parents."
        )
    pulls = np.zeros((n_classes, len(parents)))
    for leaf, row in enumerate(pulls):
        path = _path(parents, leaf)
        steps = np.exp(-alpha * np.arange(len(path) - 1)[::-1])
        row[path[:-1]] += steps
        row[path[1:]] -= steps
    return pulls


def _path(parents, node):
    path = [node]
    while parents[path[-1]] >= 0:
        path.append(int(parents[path[-1]]))
        if len(path) > len(parents):
            raise ValueError("parents go in a circle.")
    return path

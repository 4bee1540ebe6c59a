"""How a tree over classes comes about: from edges, from a graph with several parents, from distances."""

from collections import Counter

import numpy as np

from abstain.semantics.tree import ClassTree


def tree_of(above, classes, names=None, labels=None):
    """Make a tree from the node above each node.

    Parameters
    ----------
    above : dict of node to node
        Parents; the root is nobody's child.
    classes : sequence of nodes
        The leaves that are classes; what is not above one of them is left out.
    names : dict of node to str, default=None
        What nodes are called; None calls them by themselves.
    labels : sequence, default=None
        What the classes are called; None calls them by themselves.

    Returns
    -------
    tree : ClassTree
        Leaves are labelled by the classes, and nodes by distinct names.

    Raises
    ------
    ValueError
        If there is a cycle, or more than one root, or a class is unknown or no leaf.
    """
    inner, leaves = _inner(above, classes)
    if len(classes) < 2:
        raise ValueError(f"a tree needs at least 2 classes; got {list(classes)}.")
    counts = dict.fromkeys(inner, 0)
    depth = {}
    for leaf in classes:
        path = leaves[leaf]
        for node in path:
            counts[node] += 1
        for steps, node in enumerate(reversed(path)):
            depth[node] = steps
    ranked = sorted(inner, key=lambda node: (counts[node], -depth[node], str(node)))
    place = {node: i for i, node in enumerate([*classes, *ranked])}
    parents = [place[above[node]] if node in above else -1 for node in [*classes, *ranked]]
    labels = list(classes) if labels is None else list(labels)
    called = ranked if names is None else [names.get(node, node) for node in ranked]
    return ClassTree(parents, [*labels, *_distinct(called, ranked, labels)])


def relabelled(tree, labels):
    """The same tree with other labels of its classes; nodes that are called as a class are told apart."""
    inner = tree.labels[tree.n_classes :]
    return ClassTree(tree.parents, [*labels, *_distinct(inner, inner, labels)])


def _inner(above, classes):
    """Nodes above the classes, and the path of each class up to the root."""
    paths: dict = {}
    roots: dict = {}
    for leaf in classes:
        if leaf not in above:
            known = sorted(map(str, above))
            raise ValueError(
                f"edges have no parent for the class {leaf!r}: each class must be the child of some node. Children are "
                f"{known[:5]}{' ...' if len(known) > 5 else ''}."
            )
        path: list = []
        seen, node = {leaf}, leaf
        while node in above:
            node = above[node]
            if node in seen:
                raise ValueError(f"edges go in a circle: {' -> '.join(map(repr, [*path, node]))}. Remove one of them.")
            seen.add(node)
            path.append(node)
        paths[leaf] = path
        roots.setdefault(node, leaf)
    if len(roots) > 1:
        raise ValueError(
            f"edges have {len(roots)} roots, {list(roots)[:5]}: a tree has one. Add an edge from a common root to each."
        )
    inner = dict.fromkeys(node for path in paths.values() for node in path)
    for leaf in classes:
        if leaf in inner:
            raise ValueError(
                f"classes holds {leaf!r}, which is no leaf: it is above {_below(leaf, paths)!r}. Give it a leaf of its "
                f"own, such as an edge ({leaf!r}, 'other {leaf}'), and name that as the class."
            )
    return inner, paths


def _below(node, paths):
    return next(leaf for leaf, path in paths.items() if node in path)


def _distinct(called, nodes, labels):
    """Names of nodes, each told apart from the others and from the classes where that is needed."""
    counts, taken, names = Counter(called), {*labels, *called}, []
    for name, node in zip(called, nodes, strict=True):
        if counts[name] > 1 or name in labels:
            name = f"{name} ({node})" if node != name else f"any {name}"
            while name in taken:
                name = f"any {name}"
        taken.add(name)
        names.append(name)
    return names


def edges_to_parents(edges):
    """Parent of each child among pairs (parent, child).

    Raises
    ------
    ValueError
        If an edge is no pair, or a child has two parents.
    """
    above: dict = {}
    for edge in edges:
        if isinstance(edge, str) or not hasattr(edge, "__len__") or len(edge) != 2:
            raise ValueError(f"edges must be pairs (parent, child); got {edge!r}.")
        parent, child = edge
        if above.setdefault(child, parent) != parent:
            raise ValueError(
                f"edges give {child!r} two parents, {above[child]!r} and {parent!r}: in a tree there is one. Remove "
                "one of the edges."
            )
    if not above:
        raise ValueError("edges are empty: pass pairs (parent, child).")
    return above


def longest_paths(above, classes):
    """One parent for each node of a graph: the one that is farthest from the root, the first by name among equals.

    Nodes with a single child are left out, unless that is a class.

    Parameters
    ----------
    above : dict of node to sequence of nodes
        Parents of each node, ending in one root.
    classes : sequence of nodes
        The leaves.

    Returns
    -------
    above : dict of node to node
        A tree.
    """
    depth = {}

    def depth_of(node):
        if node not in depth:
            depth[node] = 1 + max((depth_of(parent) for parent in above[node]), default=-1)
        return depth[node]

    one: dict = {}
    children: dict = {}
    waiting, leaves = list(classes), set(classes)
    while waiting:
        node = waiting.pop()
        if node in one or not above[node]:
            continue
        one[node] = min(above[node], key=lambda parent: (-depth_of(parent), parent))
        children.setdefault(one[node], []).append(node)
        waiting.append(one[node])
    kept = {node for node, below in children.items() if len(below) > 1} | leaves
    tree = {}
    for node in kept:
        parent = one.get(node)
        while parent is not None and parent not in kept:
            parent = one.get(parent)
        if parent is not None:
            tree[node] = parent
    return tree


def agglomerated(distance, classes, method="average"):
    """Grow a binary tree by joining what is nearest, again and again.

    Parameters
    ----------
    distance : ndarray of shape (n_classes, n_classes)
        Symmetric distances.
    classes : sequence
        Labels.
    method : str, default="average"
        Of `scipy.cluster.hierarchy.linkage`.

    Returns
    -------
    tree : ClassTree
        Nodes are named by the classes that they hold: "cat + dog".
    """
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    n_classes = len(classes)
    joined = linkage(squareform(0.5 * (distance + distance.T), checks=False), method)[:, :2].astype(int)
    above, held = {}, [[c] for c in classes]
    for number, (a, b) in enumerate(joined.tolist(), start=n_classes):
        held.append(held[a] + held[b])
        above[a] = above[b] = number
    names = {node: _of(held[node]) for node in range(n_classes, 2 * n_classes - 1)}
    return tree_of(above, range(n_classes), names, classes)


def _of(held):
    shown = " + ".join(map(str, held[:3]))
    return shown if len(held) <= 3 else f"{shown} + {len(held) - 3} more"


def steps_up(above, classes):
    """Fewest edges from each class up to each node of a graph, (n_classes, n_nodes); ``inf`` where there is no way."""
    columns: dict = {}
    steps_of = []
    for leaf in classes:
        reached: dict = {}
        layer, steps = {leaf}, 0
        while layer:
            reached |= dict.fromkeys(layer, steps)
            layer = {parent for node in layer for parent in above[node]} - reached.keys()
            steps += 1
        steps_of.append(reached)
        for node in reached:
            columns.setdefault(node, len(columns))
    found = np.full((len(classes), len(columns)), np.inf)
    for row, reached in zip(found, steps_of, strict=True):
        row[[columns[node] for node in reached]] = list(reached.values())
    return found


def path_lengths(above, classes):
    """Edges of the shortest way between two classes of a graph over a common ancestor, (n_classes, n_classes)."""
    up = steps_up(above, classes)
    found = np.where(np.eye(len(classes), dtype=bool), 0.0, np.inf)
    for steps in up.T:
        below = np.flatnonzero(np.isfinite(steps))
        at = np.ix_(below, below)
        found[at] = np.minimum(found[at], steps[below, None] + steps[below])
    return found

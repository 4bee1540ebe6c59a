"""Where class semantics come from: hierarchies, what people said, features, or numbers that somebody brings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from abstain.semantics import growing, studies
from abstain.semantics.checks import as_labels, check_similarity, check_symmetric
from abstain.semantics.relations import ClassRelations
from abstain.semantics.wordnet import nouns_of, shipped_nouns
from abstain.utils.validation import check_choice


class ClassSemantics(ClassRelations):
    """How near the classes are to each other, from a hierarchy or from whatever else says so.

    Made by `imagenet`, `cifar10`, `cifar100`, `from_wordnet`, `from_tree`, `from_counts`, `from_ratings`,
    `from_matrix` and `from_features`.

    Parameters
    ----------
    classes : array-like of shape (n_classes,)
        Labels of the classes, as in ``y``.
    names : sequence of str, default=None
        What people call them; None is their labels.
    tree : ClassTree, default=None
        The hierarchy.
    matrix : ndarray of shape (n_classes, n_classes), default=None
        What is known of pairs of classes and is not in the tree.
    measure : {"path", "distance", "similarity"}, default="path"
        What the matrix holds: path lengths, such as those of a graph with several parents; distances; or similarities,
        which need not be symmetric.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,)
        Labels.
    names : tuple of str
        Names.
    tree : ClassTree or None
        The hierarchy; its nodes are numbers, the first of them the classes.

    Examples
    --------
    >>> from abstain.semantics import ClassSemantics
    >>> animals = ClassSemantics.from_tree([("pet", "cat"), ("pet", "dog"), ("animal", "pet"), ("animal", "wolf")])
    >>> animals.classes, animals.leaves("pet")
    (array(['cat', 'dog', 'wolf'], dtype='<U4'), ['cat', 'dog'])
    >>> animals.distance("path")
    array([[0., 2., 3.],
           [2., 0., 3.],
           [3., 3., 0.]])
    """

    @classmethod
    def imagenet(cls) -> ClassSemantics:
        """Build the semantics of the 1,000 classes of ILSVRC, labelled 0 to 999; WordNet is not needed.

        Returns
        -------
        semantics : ClassSemantics
            Names are the first words of the synsets, told apart where two are the same.
        """
        return cls._of_data_set("imagenet")

    @classmethod
    def cifar10(cls) -> ClassSemantics:
        """Build the semantics of CIFAR-10, labelled 0 to 9.

        Returns
        -------
        semantics : ClassSemantics
            From WordNet, which is not needed.
        """
        return cls._of_data_set("cifar10")

    @classmethod
    def cifar100(cls) -> ClassSemantics:
        """Build the semantics of CIFAR-100, labelled 0 to 99.

        Returns
        -------
        semantics : ClassSemantics
            From WordNet, which is not needed. Synsets are of what the images show: the most frequent sense of 23 of
            the names is something else, such as the fur of the otter.
        """
        return cls._of_data_set("cifar100")

    @classmethod
    def _of_data_set(cls, name):
        synsets, names = zip(*shipped_nouns().sets[name], strict=True)
        found = cls.from_wordnet(synsets)
        plain = names if len(set(names)) == len(names) else found.names
        return cls(found.classes, plain, tree=found.tree, matrix=found.matrix).with_classes(range(len(names)))

    @classmethod
    def from_wordnet(cls, synsets: Any, path: str | Path | None = None) -> ClassSemantics:
        """Build semantics from WordNet 3.0.

        Parameters
        ----------
        synsets : sequence of str
            Ids of the classes, such as "n02084071", which become their labels; `abstain.semantics.senses` finds those
            of a word.
        path : str or Path, default=None
            Folder of the database files. None takes the synsets that come with the package where they do, and looks in
            the usual places otherwise.

        Returns
        -------
        semantics : ClassSemantics
            Path lengths are those of the graph, where a synset may have several parents. The tree keeps the parent
            that is farthest from the root, the first by id among equals, and leaves out nodes with one child. A class
            that is above another gets a leaf of its own below itself.

        Raises
        ------
        FileNotFoundError
            If there are no database files.
        ValueError
            If a synset is unknown, or comes twice.
        """
        synsets = list(synsets)
        nouns = nouns_of(synsets, path)
        classes = as_labels(synsets, "synsets")
        above = {synset: list(noun.parents) for synset, noun in nouns.items()}
        paths = growing.path_lengths(above, synsets)
        inner = {parent for synset in synsets for parent in _all_above(above, synset)}
        leaves = [f"{synset} itself" if synset in inner else synset for synset in synsets]
        above |= {leaf: [synset] for leaf, synset in zip(leaves, synsets, strict=True) if leaf != synset}
        names = {synset: noun.lemmas[0] for synset, noun in nouns.items()}
        tree = growing.tree_of(growing.longest_paths(above, leaves), leaves, names, synsets)
        return cls(classes, _told_apart(synsets, nouns), tree=tree, matrix=paths)

    @classmethod
    def from_tree(cls, edges: Any, classes: ArrayLike | None = None) -> ClassSemantics:
        """Build semantics from a tree.

        Parameters
        ----------
        edges : iterable of (parent, child)
            Nodes by any labels.
        classes : array-like of shape (n_classes,), default=None
            The leaves that are classes; None is all leaves, sorted.

        Returns
        -------
        semantics : ClassSemantics
            With that tree.

        Raises
        ------
        ValueError
            If there is a cycle, a second root or parent, or a class is no leaf.
        """
        above = growing.edges_to_parents(edges)
        if classes is None:
            inner = set(above.values())
            classes = [node for node in above if node not in inner]
            if not classes:
                raise ValueError("edges go in a circle: no node is a leaf. Remove one of them.")
            classes = sorted(classes) if len({type(node) for node in classes}) == 1 else classes
        labels = as_labels(classes, "classes")
        return cls(labels, tree=growing.tree_of(above, labels.tolist()))

    @classmethod
    def from_counts(cls, counts: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None) -> ClassSemantics:
        """Build semantics from labels that several people gave to the same samples, as in CIFAR-10H.

        Parameters
        ----------
        counts : array-like of shape (n, n_classes)
            How many people gave each label to each sample.
        y : array-like of shape (n,)
            True labels.
        classes : array-like of shape (n_classes,), default=None
            Labels of the columns; None is 0, 1, ...

        Returns
        -------
        semantics : ClassSemantics
            The similarity of class i to class j is the mean share of the label j among samples of class i.

        Raises
        ------
        ValueError
            If a count is negative, a sample has none, or a class has no samples.

        Notes
        -----
        The counts of CIFAR-10H belong to the test set of CIFAR-10: to train with them and to test there is to test on
        training data.
        """
        similarities, labels = studies.shares_of_counts(counts, y, classes)
        return cls(labels, matrix=similarities, measure="similarity")

    @classmethod
    def from_ratings(
        cls, ratings: ArrayLike, classes: ArrayLike | None = None, *, own: float | None = None
    ) -> ClassSemantics:
        """Build semantics from what people said of how alike classes are.

        Parameters
        ----------
        ratings : array-like of shape (n_raters, n_classes, n_classes) or (n_classes, n_classes)
            ``ratings[r, i, j]``: how alike i and j are to rater r, for example from 0 to 4; NaN where not asked.
        classes : array-like of shape (n_classes,), default=None
            Labels; None is 0, 1, ...
        own : float, default=None
            What a class is given with itself, where studies do not ask; None is the largest rating.

        Returns
        -------
        semantics : ClassSemantics
            The similarity is the mean rating.

        Raises
        ------
        ValueError
            If a rating is negative, or nobody rated a pair.
        """
        similarities = studies.means_of_ratings(ratings, own)
        classes = range(len(similarities)) if classes is None else classes
        return cls(classes, matrix=similarities, measure="similarity")

    @classmethod
    def from_matrix(
        cls, matrix: ArrayLike, classes: ArrayLike | None = None, *, kind: str = "distance"
    ) -> ClassSemantics:
        """Build semantics from numbers that you bring.

        Parameters
        ----------
        matrix : array-like of shape (n_classes, n_classes)
            Distances: symmetric, not negative, zero on the diagonal. Or similarities: not negative, with no entry above
            that of the class itself.
        classes : array-like of shape (n_classes,), default=None
            Labels; None is 0, 1, ...
        kind : {"distance", "similarity"}, default="distance"
            What the numbers are.

        Returns
        -------
        semantics : ClassSemantics
            Without a tree; see `grown`.

        Raises
        ------
        ValueError
            If the numbers are not such.
        """
        check_choice(kind, "kind", ("distance", "similarity"))
        values = check_symmetric(matrix) if kind == "distance" else check_similarity(matrix)
        return cls(range(len(values)) if classes is None else classes, matrix=values, measure=kind)

    @classmethod
    def from_features(cls, X: Any, y: ArrayLike, *, method: str = "average") -> ClassSemantics:
        """Build semantics from features, for those who have no hierarchy.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Features.
        y : array-like of shape (n,)
            Labels.
        method : str, default="average"
            How the tree is grown; see `grown`.

        Returns
        -------
        semantics : ClassSemantics
            Distances are those of class means where features are as spread within classes in every direction.

        Raises
        ------
        ValueError
            If features are not finite, or there are fewer than 2 classes.
        """
        distances, classes = studies.distances_of_means(X, y)
        return cls(classes, matrix=distances, measure="distance").grown(method)


def _all_above(above, node):
    found, waiting = set(), list(above[node])
    while waiting:
        parent = waiting.pop()
        if parent not in found:
            found.add(parent)
            waiting.extend(above[parent])
    return found


def _told_apart(synsets, nouns):
    """First words of synsets; with those of what they are a kind of where two are the same."""
    first = [nouns[synset].lemmas[0] for synset in synsets]
    twice = {name for name in first if first.count(name) > 1}
    kinds = [nouns[nouns[s].parents[0]].lemmas[0] if nouns[s].parents else s for s in synsets]
    longer = [f"{a} ({b})" if a in twice else a for a, b in zip(first, kinds, strict=True)]
    return [f"{a} ({s})" if longer.count(a) > 1 else a for a, s in zip(longer, synsets, strict=True)]

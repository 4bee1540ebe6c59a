"""Trees: everything that a tree knows against counts over paths, and where trees come from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from abstain.semantics import ClassSemantics, ClassTree, growing

PETS = [("pet", "cat"), ("pet", "dog"), ("animal", "pet"), ("animal", "wolf"), ("thing", "animal"), ("thing", "car")]
few = settings(max_examples=25, deadline=None, derandomize=True)


@st.composite
def edges_of_trees(draw, most=9):
    """Edges (parent, child) of a tree with at least two leaves, whose nodes are numbers in no order."""
    n_nodes = draw(st.integers(3, most + 4))
    above = [draw(st.integers(0, child - 1)) for child in range(1, n_nodes)]
    if len(set(range(n_nodes)) - set(above)) < 2:
        above.append(0)
    called = draw(st.permutations([100 + i for i in range(len(above) + 1)]))
    return [(called[parent], called[child]) for child, parent in enumerate(above, start=1)]


def paths_of(edges):
    """Path of each leaf up to the root."""
    above = {child: parent for parent, child in edges}
    found = {}
    for leaf in above.keys() - set(above.values()):
        found[leaf] = [leaf]
        while found[leaf][-1] in above:
            found[leaf].append(above[found[leaf][-1]])
    return found


def tree_and_paths(edges):
    """A tree, and the path of each class in numbers of nodes, as the edges say."""
    semantics, paths = ClassSemantics.from_tree(edges), paths_of(edges)
    number = {int(label): node for node, label in enumerate(semantics.tree.labels)}
    assert sorted(number) == sorted({node for path in paths.values() for node in path})
    return semantics.tree, [[number[node] for node in paths[label]] for label in semantics.classes.tolist()]


def masses_of(tree, proba):
    """Probability of each node and of all else, of all rows."""
    nodes = np.arange(len(tree))
    parts = [masses.of(np.tile(nodes, (rows.stop - rows.start, 1))) for rows, masses in tree.masses(proba)]
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


def below(tree, paths, node):
    return [c for c in range(tree.n_classes) if node in paths[c]]


@few
@given(edges_of_trees())
def test_lineage_is_the_path_of_the_edges(edges):
    tree, paths = tree_and_paths(edges)
    assert tree.n_classes == len(paths)
    assert tree.height == max(map(len, paths)) - 1
    for row, path in zip(tree.lineage.tolist(), paths, strict=True):
        assert row == path + [tree.root] * (tree.height + 1 - len(path))
        assert tree.path(path[0]) == path


@few
@given(edges_of_trees())
def test_depth_counts_edges_to_the_root(edges):
    tree, paths = tree_and_paths(edges)
    expected = {node: len(path) - 1 - i for path in paths for i, node in enumerate(path)}
    assert tree.depth.tolist() == [expected[node] for node in range(len(tree))]


@few
@given(edges_of_trees())
def test_members_are_the_classes_below(edges):
    tree, paths = tree_and_paths(edges)
    for node in range(len(tree)):
        expected = below(tree, paths, node)
        assert sorted(tree.leaves(node).tolist()) == expected
        assert np.flatnonzero(tree.contains[node]).tolist() == expected
        assert np.flatnonzero(tree.members[[node]].toarray()).tolist() == expected
        assert tree.n_leaves[node] == len(expected)
        assert tree.a_leaf[node] in expected


@few
@given(edges_of_trees())
def test_information_is_one_for_a_class_and_none_for_the_root(edges):
    tree, paths = tree_and_paths(edges)
    size = np.array([len(below(tree, paths, node)) for node in range(len(tree))])
    np.testing.assert_allclose(tree.information, 1 - np.log(size) / np.log(len(paths)), atol=1e-15)


@few
@given(edges_of_trees())
def test_nodes_come_by_how_many_classes_they_hold_and_the_deeper_first(edges):
    tree, _ = tree_and_paths(edges)
    inner = [(int(tree.n_leaves[node]), -int(tree.depth[node])) for node in range(tree.n_classes, len(tree))]
    assert inner == sorted(inner)
    assert tree.root == len(tree) - 1


@few
@given(edges_of_trees())
def test_common_is_the_lowest_node_of_both_paths(edges):
    tree, paths = tree_and_paths(edges)
    expected = [[next(node for node in one if node in other) for other in paths] for one in paths]
    assert tree.common.tolist() == expected


@few
@given(edges_of_trees())
def test_common_with_nodes_is_the_lowest_node_of_both_paths(edges):
    tree, paths = tree_and_paths(edges)
    for row, path in zip(tree.common_with_nodes.tolist(), paths, strict=True):
        assert row == [next(n for n in tree.path(node) if n in path) for node in range(len(tree))]


@few
@given(edges_of_trees())
def test_height_is_that_of_the_deepest_class_below(edges):
    tree, paths = tree_and_paths(edges)
    expected = [max(path.index(node) for path in paths if node in path) for node in range(len(tree))]
    assert tree.height_of.tolist() == expected


@few
@given(edges_of_trees())
def test_spans_are_nested_as_nodes_are(edges):
    tree, paths = tree_and_paths(edges)
    first, last = tree.spans
    for one in range(len(tree)):
        for other in range(len(tree)):
            inside = set(below(tree, paths, other)) <= set(below(tree, paths, one))
            assert inside == (first[one] <= first[other] and last[other] <= last[one])


@few
@given(edges_of_trees(), st.integers(0, 10**6))
def test_masses_are_sums_of_classes(edges, seed):
    tree, paths = tree_and_paths(edges)
    proba = np.random.default_rng(seed).dirichlet(np.ones(tree.n_classes), 7)
    mass, rest = masses_of(tree, proba)
    for node in range(len(tree)):
        inside = np.isin(np.arange(tree.n_classes), below(tree, paths, node))
        np.testing.assert_allclose(mass[:, node], proba[:, inside].sum(axis=1), rtol=1e-14)
        np.testing.assert_allclose(rest[:, node], proba[:, ~inside].sum(axis=1), rtol=1e-14)
    np.testing.assert_allclose(mass + rest, 1, rtol=1e-14)


@few
@given(edges_of_trees(), st.integers(0, 10**6))
def test_tiny_probabilities_keep_their_digits(edges, seed):
    tree, paths = tree_and_paths(edges)
    rng = np.random.default_rng(seed)
    proba = 10.0 ** -rng.uniform(0, 290, (5, tree.n_classes))
    proba[:, rng.integers(tree.n_classes)] = 1.0
    mass, rest = masses_of(tree, proba)
    for node in range(len(tree)):
        inside = np.isin(np.arange(tree.n_classes), below(tree, paths, node))
        np.testing.assert_allclose(mass[:, node], proba[:, inside].sum(axis=1), rtol=1e-13)
        np.testing.assert_allclose(rest[:, node], proba[:, ~inside].sum(axis=1), rtol=1e-13)


@few
@given(edges_of_trees(), st.integers(0, 10**6))
def test_nested_nodes_have_nested_masses_to_the_last_digit(edges, seed):
    tree, _ = tree_and_paths(edges)
    mass, rest = masses_of(tree, np.random.default_rng(seed).dirichlet(np.full(tree.n_classes, 0.1), 9))
    for path in tree.lineage:
        assert (np.diff(mass[:, path], axis=1) >= 0).all()
        assert (np.diff(rest[:, path], axis=1) <= 0).all()


def test_nothing_is_left_beside_the_root():
    tree = ClassSemantics.from_tree(PETS).tree
    mass, rest = masses_of(tree, np.random.default_rng(0).dirichlet(np.ones(4), 50))
    assert (rest[:, tree.root] == 0).all()
    np.testing.assert_allclose(mass[:, tree.root], 1, rtol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_masses_of_a_row_are_the_same_in_any_company(dtype):
    tree = ClassSemantics.imagenet().tree
    proba = np.random.default_rng(0).dirichlet(np.full(1000, 0.1), 11).astype(dtype)
    whole = masses_of(tree, proba)
    for i in range(11):
        mass, rest = masses_of(tree, proba[[i]])
        np.testing.assert_array_equal(mass[0], whole[0][i])
        np.testing.assert_array_equal(rest[0], whole[1][i])
    backwards = masses_of(tree, proba[::-1])
    np.testing.assert_array_equal(backwards[0][::-1], whole[0])
    np.testing.assert_array_equal(backwards[1][::-1], whole[1])


def test_many_rows_come_in_blocks_that_cover_them_all():
    tree = ClassSemantics.imagenet().tree
    proba = np.broadcast_to(np.full(1000, 1e-3), (1000, 1000))
    covered = [rows for rows, masses in tree.masses(proba) if len(masses.mass) == rows.stop - rows.start]
    assert len(covered) > 1
    assert [rows.start for rows in covered] == [0, *[rows.stop for rows in covered[:-1]]]
    assert covered[-1].stop == 1000


def test_costs_of_nodes_by_hand():
    tree = ClassSemantics.from_tree(PETS).tree
    assert tree.labels == ["car", "cat", "dog", "wolf", "pet", "animal", "thing"]
    half, most = 0.5 * np.log(2) / np.log(4), 0.5 * np.log(3) / np.log(4)
    assert tree.cost().tolist() == [
        [0, 1, 1, 1, 1, 1, 0.5],
        [1, 0, 1, 1, half, most, 0.5],
        [1, 1, 0, 1, half, most, 0.5],
        [1, 1, 1, 0, 1, most, 0.5],
    ]


@few
@given(edges_of_trees())
def test_parents_are_those_of_the_edges(edges):
    semantics = ClassSemantics.from_tree(edges)
    assert {int(child): int(parent) for child, parent in semantics.parents.items()} == {c: p for p, c in edges}


def test_the_order_of_the_edges_does_not_matter():
    one = ClassSemantics.from_tree(PETS)
    other = ClassSemantics.from_tree(PETS[::-1])
    assert one.classes.tolist() == other.classes.tolist() == ["car", "cat", "dog", "wolf"]
    assert one.tree.labels == other.tree.labels
    np.testing.assert_array_equal(one.tree.parents, other.tree.parents)


def test_classes_may_be_some_of_the_leaves_in_any_order():
    semantics = ClassSemantics.from_tree(PETS, classes=["wolf", "car", "cat"])
    assert semantics.tree.labels[:3] == semantics.classes.tolist() == ["wolf", "car", "cat"]
    assert semantics.leaves("animal") == ["wolf", "cat"]
    assert semantics.leaves("pet") == ["cat"]


def test_edges_may_come_twice_and_as_an_array():
    semantics = ClassSemantics.from_tree(np.array([*PETS, PETS[0]]))
    assert semantics.classes.tolist() == ["car", "cat", "dog", "wolf"]


@pytest.mark.parametrize(
    ("edges", "classes", "message"),
    [
        ([("a", "b"), ("b", "a")], None, "edges go in a circle"),
        ([("a", "b"), ("b", "a"), ("b", "c"), ("a", "d")], None, r"edges go in a circle: 'b' -> 'a' -> 'b'"),
        ([("a", "a"), ("a", "b"), ("a", "c")], None, "edges go in a circle"),
        ([("a", "b"), ("c", "d")], None, r"edges have 2 roots, \['a', 'c'\]"),
        ([("a", "b"), ("c", "b"), ("a", "d")], None, "edges give 'b' two parents, 'a' and 'c'"),
        (PETS, ["cat", "dog", "pet"], "classes holds 'pet', which is no leaf: it is above 'cat'"),
        (PETS, ["cat", "thing"], "edges have no parent for the class 'thing'"),
        (PETS, ["cat", "cow"], "edges have no parent for the class 'cow'"),
        (PETS, ["cat", "cat"], r"classes must be different; \['cat'\]"),
        (PETS, ["cat"], "classes must be at least 2 labels"),
        ([("a", "b")], None, "classes must be at least 2 labels"),
        (["ab", "ac"], None, r"edges must be pairs \(parent, child\); got 'ab'"),
        ([("a", "b", "c")], None, "edges must be pairs"),
        ([("a", "b"), ("a",)], None, "edges must be pairs"),
    ],
)
def test_what_is_no_tree_is_refused(edges, classes, message):
    with pytest.raises(ValueError, match=message):
        ClassSemantics.from_tree(edges, classes)


def test_no_edges_are_not_a_circle():
    with pytest.raises(ValueError, match="edges") as caught:
        ClassSemantics.from_tree([])
    assert "circle" not in str(caught.value)


def test_edges_without_a_length_are_named():
    with pytest.raises(ValueError, match="edges must be pairs"):
        ClassSemantics.from_tree([1, 2])


@pytest.mark.parametrize(
    "edges",
    [
        [("0", 0), ("0", 1), ("any 0", "0"), ("any 0", 2)],
        [(3, "a"), (3, "b"), ("3", 3), ("3", "c")],
    ],
    ids=["any", "kinds"],
)
def test_nodes_have_distinct_labels(edges):
    labels = ClassSemantics.from_tree(edges).tree.labels
    assert len(set(labels)) == len(labels)


def test_a_node_that_is_called_as_a_class_is_told_apart():
    tree = ClassSemantics.from_tree([("x", 1), ("x", 2), ("top", "x"), ("top", "3")], classes=[1, 2, "3"]).tree
    assert tree.labels == [1, 2, "3", "x", "top"]
    assert growing.tree_of({"a": "n", "b": "n"}, ["a", "b"], {"n": "a"}).labels == ["a", "b", "a (n)"]


GRAPH = {  # two ways from d up to the root: over a, and over b and c
    "root": [], "a": ["root"], "b": ["root"], "c": ["b"], "d": ["a", "c"], "e": ["a"], "f": ["c"], "g": ["d"],
    "h": ["d"], "i": ["f"], "j": ["e", "d"],
}  # fmt: skip


def test_longest_paths_by_hand():
    assert growing.longest_paths(GRAPH, ["g", "h", "i", "e"]) == {
        "g": "d", "h": "d", "d": "c", "i": "c", "c": "root", "e": "root",
    }  # fmt: skip


def test_of_equal_parents_the_first_by_name_stays():
    above = {"root": [], "x": ["root"], "w": ["root"], "a": ["x", "w"], "b": ["w"], "c": ["x"], "d": ["x"]}
    assert growing.longest_paths(above, ["a", "b", "c", "d"])["a"] == "w"


def test_longest_paths_take_the_deepest_parent_of_every_node():
    rng = np.random.default_rng(0)
    for _ in range(20):
        above = {0: []} | {n: sorted(set(rng.integers(0, n, 2).tolist())) for n in range(1, 15)}
        inner = {parent for parents in above.values() for parent in parents}
        leaves = [node for node in above if node not in inner]
        if len(leaves) < 2:
            continue

        def longest(node, above=above):
            return max((1 + longest(parent) for parent in above[node]), default=0)

        full = {n: min(p, key=lambda q: (-longest(q), q)) for n, p in above.items() if p}
        used = {node for leaf in leaves for node in _path(full, leaf)}
        kept = {n for n in used if n in leaves or sum(full.get(c) == n for c in used) > 1}
        expected = {}
        for node in kept:
            above_it = [n for n in _path(full, node)[1:] if n in kept]
            if above_it:
                expected[node] = above_it[0]
        assert growing.longest_paths(above, leaves) == expected


def _path(above, node):
    path = [node]
    while path[-1] in above:
        path.append(above[path[-1]])
    return path


def test_path_lengths_of_a_graph_by_hand():
    found = growing.path_lengths(GRAPH, ["g", "h", "i", "e"])
    assert found.tolist() == [[0, 2, 4, 3], [2, 0, 4, 3], [4, 4, 0, 6], [3, 3, 6, 0]]


def test_path_lengths_against_all_common_ancestors():
    rng = np.random.default_rng(1)
    for _ in range(20):
        above = {0: []} | {n: sorted(set(rng.integers(0, n, 2).tolist())) for n in range(1, 14)}
        classes = rng.permutation(14)[:5].tolist()

        def ups(node, above=above):
            found = {node: 0}
            for parent in above[node]:
                for at, steps in ups(parent).items():
                    found[at] = min(found.get(at, 99), steps + 1)
            return found

        up = [ups(c) for c in classes]
        expected = [[min(a[n] + b[n] for n in a.keys() & b.keys()) for b in up] for a in up]
        assert growing.path_lengths(above, classes).tolist() == expected


def test_path_lengths_of_a_tree_are_those_of_the_tree():
    above = {child: [parent] for parent, child in PETS} | {"thing": []}
    semantics = ClassSemantics.from_tree(PETS)
    np.testing.assert_array_equal(growing.path_lengths(above, semantics.classes.tolist()), semantics.distance("path"))


@pytest.mark.parametrize("method", ["average", "complete", "single", "ward"])
def test_agglomerated_nodes_are_the_clusters(method):
    points = np.random.default_rng(0).normal(size=(8, 3))
    distance = np.linalg.norm(points[:, None] - points, axis=2)
    tree = growing.agglomerated(distance, list("abcdefgh"), method)
    joined = linkage(squareform(distance, checks=False), method)
    expected = {(i,) for i in range(8)}
    for height in joined[:, 2]:
        cut = fcluster(joined, height + 1e-9, "distance")
        expected |= {tuple(np.flatnonzero(cut == c).tolist()) for c in np.unique(cut)}
    assert {tuple(sorted(tree.leaves(node).tolist())) for node in range(len(tree))} == expected
    assert len(tree) == 15


def test_agglomerated_nodes_are_named_by_their_classes():
    distance = np.abs(np.subtract.outer([0, 1, 3, 7, 15], [0, 1, 3, 7, 15])).astype(float)
    tree = growing.agglomerated(distance, list("abcde"), "single")
    assert tree.labels == ["a", "b", "c", "d", "e", "a + b", "c + a + b", "d + c + a + 1 more", "e + d + c + 2 more"]


def test_a_tree_of_no_inner_nodes():
    tree = ClassTree([3, 3, 3, -1], ["a", "b", "c", "any"])
    assert (tree.n_classes, tree.height, len(tree)) == (3, 1, 4)
    assert tree.common.tolist() == [[0, 3, 3], [3, 1, 3], [3, 3, 2]]
    assert tree.information.tolist() == [1, 1, 1, 0]

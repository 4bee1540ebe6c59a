"""Class semantics: every way to make them, distances against counts over paths, weights, and what is refused."""

import itertools
import pickle
import warnings

import numpy as np
import pytest

from abstain.semantics import ClassSemantics, LeastCost
from abstain.warnings import FlatWeightsWarning

PETS = [("pet", "cat"), ("pet", "dog"), ("animal", "pet"), ("animal", "wolf"), ("thing", "animal"), ("thing", "car")]
WORDNET = ["n02099601", "n02099712", "n02121620", "n02823428"]  # golden retriever, Labrador, cat, beer bottle
KINDS = ["path", "lca_height", "lca_depth", "wup"]
# airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck
CIFAR10 = [
    [0, 8, 14, 18, 19, 13, 15, 19, 5, 8],
    [8, 0, 13, 17, 18, 12, 14, 18, 7, 2],
    [14, 13, 0, 6, 7, 5, 3, 7, 13, 13],
    [18, 17, 6, 0, 7, 4, 7, 7, 17, 17],
    [19, 18, 7, 7, 0, 7, 8, 6, 18, 18],
    [13, 12, 5, 4, 7, 0, 6, 7, 12, 12],
    [15, 14, 3, 7, 8, 6, 0, 8, 14, 14],
    [19, 18, 7, 7, 6, 7, 8, 0, 18, 18],
    [5, 7, 13, 17, 18, 12, 14, 18, 0, 7],
    [8, 2, 13, 17, 18, 12, 14, 18, 7, 0],
]


@pytest.fixture(scope="module")
def pets():
    return ClassSemantics.from_tree(PETS)


@pytest.fixture(scope="module")
def imagenet():
    return ClassSemantics.imagenet()


@pytest.fixture(scope="module")
def cifar10():
    return ClassSemantics.cifar10()


@pytest.fixture(scope="module")
def study():
    """Similarities that are not symmetric."""
    return ClassSemantics.from_matrix([[4, 1, 2], [3, 5, 0], [0, 1, 2]], ["a", "b", "c"], kind="similarity")


def _by_paths(tree, kind):
    """Distances by definition, from the path of each class up to the root."""
    paths = [tree.path(c) for c in range(tree.n_classes)]
    height = max(map(len, paths)) - 1

    def distance(one, other):
        if one == other:
            return 0
        common = next(node for node in one if node in other)
        depth = len(one) - 1 - one.index(common)
        if kind == "path":
            return one.index(common) + other.index(common)
        if kind == "lca_height":
            return max(path.index(common) for path in paths if common in path)
        if kind == "lca_depth":
            return height - depth
        return 1 - 2 * (depth + 1) / (len(one) + len(other))

    return np.array([[distance(one, other) for other in paths] for one in paths], dtype=float)


def _warning_if_flat(make):
    """Weights, with a warning if and only if a row gives less than half to its own class."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        weights = make()
    assert [w.category for w in caught] == [FlatWeightsWarning] * bool(np.diag(weights).min() < 0.5)
    return weights


def test_distances_by_hand(pets):
    assert pets.classes.tolist() == ["car", "cat", "dog", "wolf"]
    assert pets.distance("path").tolist() == [[0, 4, 4, 3], [4, 0, 2, 3], [4, 2, 0, 3], [3, 3, 3, 0]]
    assert pets.distance("lca_height").tolist() == [[0, 3, 3, 3], [3, 0, 1, 2], [3, 1, 0, 2], [3, 2, 2, 0]]
    assert pets.distance("lca_depth").tolist() == [[0, 3, 3, 3], [3, 0, 1, 2], [3, 1, 0, 2], [3, 2, 2, 0]]
    np.testing.assert_allclose(pets.distance("wup")[1], [1 - 2 / 6, 0, 1 - 6 / 8, 1 - 4 / 7], rtol=1e-12)


def test_lca_height_and_depth_differ_where_leaves_are_not_equally_deep():
    tree = ClassSemantics.from_tree(
        [("r", "a"), ("a", 0), ("a", 1), ("r", "b"), ("b", "c"), ("c", 2), ("c", 3)], range(4)
    )
    assert tree.distance("lca_height")[0, 1] == 1
    assert tree.distance("lca_depth")[0, 1] == 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_distances_of_random_trees_are_those_of_their_paths(kind, seed):
    rng = np.random.default_rng(seed)
    above = [int(rng.integers(0, max(1, child))) for child in range(1, 16)]
    semantics = ClassSemantics.from_tree([(parent, child) for child, parent in enumerate(above, start=1)])
    np.testing.assert_allclose(semantics.distance(kind), _by_paths(semantics.tree, kind), atol=1e-12)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_distances_of_imagenet_are_those_of_the_paths_of_its_tree(imagenet, kind):
    some = np.random.default_rng(0).choice(1000, 40, replace=False)
    paths = [imagenet.tree.path(c) for c in some]
    found = imagenet.distance(kind)
    for (i, one), (j, other) in itertools.combinations(zip(some, paths, strict=True), 2):
        common = next(node for node in one if node in other)
        depth = len(one) - 1 - one.index(common)
        expected = {
            "lca_height": imagenet.tree.height_of[common],
            "lca_depth": imagenet.tree.height - depth,
            "wup": 1 - 2 * (depth + 1) / (len(one) + len(other)),
        }[kind]
        assert found[i, j] == found[j, i] == pytest.approx(expected)


def test_the_default_distance_of_a_hierarchy_is_the_path(pets, imagenet):
    for semantics in (pets, imagenet):
        np.testing.assert_array_equal(semantics.distance(), semantics.distance("path"))


@pytest.mark.parametrize("kind", [None, *KINDS])
def test_distances_are_symmetric_and_zero_on_the_diagonal(cifar10, kind):
    found = cifar10.distance(kind)
    np.testing.assert_array_equal(found, found.T)
    assert (np.diag(found) == 0).all()
    assert (found[~np.eye(10, dtype=bool)] > 0).all()


def test_distances_are_copies(cifar10, study):
    for semantics in (cifar10, study):
        before = semantics.distance().copy()
        semantics.distance()[:] = -1
        semantics.similarity()[:] = -1
        np.testing.assert_array_equal(semantics.distance(), before)


def test_cifar10_has_the_published_table(cifar10):
    assert cifar10.distance("path").tolist() == CIFAR10
    assert cifar10.classes.tolist() == list(range(10))
    assert cifar10.names == (
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    )  # fmt: skip


def test_cifar100_is_of_what_the_images_show():
    semantics = ClassSemantics.cifar100()
    assert semantics.classes.tolist() == list(range(100))
    assert list(semantics.names) == sorted(semantics.names)
    at = {name: i for i, name in enumerate(semantics.names)}
    similarity = semantics.similarity("path")
    assert similarity[at["camel"], at["seal"]] == pytest.approx(1 / 7)
    distance = semantics.distance("path")
    assert distance[at["otter"], at["raccoon"]] < distance[at["otter"], at["plate"]]
    animal = semantics.tree.labels.index("animal")
    assert {"otter", "seal", "whale", "ray", "turtle", "tiger", "skunk", "shrew"} <= {
        semantics.names[c] for c in semantics.tree.leaves(animal)
    }


def test_imagenet_has_a_thousand_classes_with_names_of_their_own(imagenet):
    assert imagenet.classes.tolist() == list(range(1000))
    assert len(set(imagenet.names)) == 1000
    assert (imagenet.names[0], imagenet.names[207]) == ("tench", "golden retriever")
    crane = [name for name in imagenet.names if name.startswith("crane")]
    assert len(crane) == 2
    assert all("(" in name for name in crane)


def test_nodes_of_imagenet_have_several_children_and_names_of_their_own(imagenet):
    tree = imagenet.tree
    assert np.bincount(tree.parents[:-1], minlength=len(tree))[1000:].min() == 2
    assert len(set(tree.labels)) == len(tree)
    assert set(imagenet.leaves("dog")) == set(range(151, 269))
    assert {207, 281} <= set(imagenet.leaves("carnivore"))


def test_imagenet_is_what_wordnet_says_of_its_synsets(imagenet):
    semantics = ClassSemantics.from_wordnet(WORDNET)
    golden, labrador, beer_bottle = 207, 208, 440
    some = imagenet.aligned([golden, labrador, beer_bottle])
    keep = [0, 1, 3]
    np.testing.assert_array_equal(some.distance("path"), semantics.distance("path")[np.ix_(keep, keep)])


def test_similarity_of_paths_is_that_of_wordnet():
    similarity = ClassSemantics.from_wordnet(WORDNET).similarity()
    np.testing.assert_allclose(similarity[0], [1, 1 / 3, 1 / 9, 1 / 16], rtol=1e-12)


def test_wordnet_classes_are_in_the_order_given():
    order = [2, 0, 3, 1]
    one, other = ClassSemantics.from_wordnet(WORDNET), ClassSemantics.from_wordnet([WORDNET[i] for i in order])
    np.testing.assert_array_equal(other.distance(), one.distance()[np.ix_(order, order)])
    np.testing.assert_array_equal(other.distance("lca_depth"), one.distance("lca_depth")[np.ix_(order, order)])
    assert other.names == tuple(one.names[i] for i in order)


def test_counts_are_mean_shares_of_the_samples_of_a_class():
    counts = [[8, 2, 0], [1, 0, 1], [0, 3, 1], [5, 5, 10], [0, 0, 7]]
    semantics = ClassSemantics.from_counts(counts, ["a", "a", "b", "c", "c"], ["a", "b", "c"])
    expected = [[0.65, 0.1, 0.25], [0, 0.75, 0.25], [0.125, 0.125, 0.75]]
    np.testing.assert_allclose(semantics.similarity(), expected, rtol=1e-12)
    assert semantics.classes.tolist() == ["a", "b", "c"]
    np.testing.assert_allclose(semantics.weights(), expected, rtol=1e-12)


def test_columns_of_counts_are_in_the_order_of_classes():
    counts = [[1, 9], [8, 2]]
    one = ClassSemantics.from_counts(counts, ["y", "x"], ["x", "y"])
    other = ClassSemantics.from_counts([row[::-1] for row in counts], ["y", "x"], ["y", "x"])
    np.testing.assert_array_equal(other.aligned(["x", "y"]).similarity(), one.similarity())


def test_ratings_are_means_over_those_who_were_asked():
    nan = np.nan
    ratings = [[[nan, 1, nan], [2, nan, 0], [4, 1, nan]], [[nan, 3, 2], [nan, nan, nan], [0, 0, nan]]]
    semantics = ClassSemantics.from_ratings(ratings, list("abc"))
    assert semantics.similarity().tolist() == [[4, 2, 2], [2, 4, 0], [2, 0.5, 4]]
    assert ClassSemantics.from_ratings(ratings, own=9).similarity()[1].tolist() == [2, 9, 0]
    assert ClassSemantics.from_ratings(ratings).classes.tolist() == [0, 1, 2]


def test_one_rater_is_enough():
    assert ClassSemantics.from_ratings([[np.nan, 1], [2, np.nan]]).similarity().tolist() == [[2, 1], [2, 2]]


def test_distances_of_similarities_are_shares_of_the_own(study):
    expected = [[0, 1 - 4 / 9, 1 - 2 / 6], [1 - 4 / 9, 0, 1 - 1 / 7], [1 - 2 / 6, 1 - 1 / 7, 0]]
    np.testing.assert_allclose(study.distance(), expected, rtol=1e-12)


def test_similarities_of_distances_are_shares_of_the_largest():
    semantics = ClassSemantics.from_matrix([[0, 1, 4], [1, 0, 3], [4, 3, 0]])
    np.testing.assert_allclose(semantics.similarity(), [[1, 0.75, 0], [0.75, 1, 0.25], [0, 0.25, 1]], rtol=1e-12)
    assert semantics.distance().tolist() == [[0, 1, 4], [1, 0, 3], [4, 3, 0]]


def test_rounding_is_no_asymmetry():
    semantics = ClassSemantics.from_matrix([[0, 1 + 1e-9], [1, 0]])
    assert semantics.distance()[0, 1] == semantics.distance()[1, 0]


def test_features_are_as_far_apart_as_their_means_in_units_of_their_spread():
    rng = np.random.default_rng(0)
    y = np.repeat(["a", "b", "c"], 200)
    means = {"a": [0, 0], "b": [4, 0], "c": [0, 40]}
    X = np.array([means[label] for label in y]) + rng.normal(size=(600, 2)) * [1, 10]
    semantics = ClassSemantics.from_features(X, y)
    centred = X - np.array([X[y == label].mean(axis=0) for label in y])
    within = centred.T @ centred / 600
    within += 0.1 * np.trace(within) / 2 * np.eye(2)
    gaps = [[X[y == one].mean(axis=0) - X[y == other].mean(axis=0) for other in "abc"] for one in "abc"]
    expected = [[np.sqrt(gap @ np.linalg.solve(within, gap)) for gap in row] for row in gaps]
    np.testing.assert_allclose(semantics.distance(), expected, rtol=1e-6, atol=1e-9)
    assert semantics.tree.n_classes == 3
    assert semantics.classes.tolist() == ["a", "b", "c"]


def test_trees_of_features_join_what_is_near():
    X = np.array([[0.0], [0.2], [1.0], [1.2], [9.0], [9.2]]) + np.zeros((1, 3)) + 0.01 * np.eye(6)[:, :3]
    semantics = ClassSemantics.from_features(X, ["far", "far", "near", "near", "odd", "odd"])
    assert semantics.leaves("far + near") == ["far", "near"]


def test_a_grown_tree_keeps_the_distance(study):
    grown = study.grown("single")
    np.testing.assert_array_equal(grown.distance(), study.distance())
    np.testing.assert_array_equal(grown.similarity(), study.similarity())
    assert grown.tree.n_classes == 3
    assert study.tree is None


@pytest.mark.parametrize("source", ["pets", "cifar10", "study"])
def test_classes_in_another_order_are_the_same_classes(request, source):
    semantics = request.getfixturevalue(source)
    semantics = semantics if semantics.tree else semantics.grown()
    order = np.random.default_rng(3).permutation(len(semantics))
    moved = semantics.aligned(semantics.classes[order])
    assert moved.classes.tolist() == semantics.classes[order].tolist()
    assert moved.names == tuple(semantics.names[i] for i in order)
    for kind in (None, *KINDS):
        np.testing.assert_allclose(moved.distance(kind), semantics.distance(kind)[np.ix_(order, order)], rtol=1e-12)
        np.testing.assert_allclose(moved.similarity(kind), semantics.similarity(kind)[np.ix_(order, order)], rtol=1e-12)
    for kind in (None, *KINDS[:3]):
        at = [moved.tree.labels.index(label) for label in semantics.tree.labels]
        np.testing.assert_allclose(moved.node_cost(kind)[:, at], semantics.node_cost(kind)[order], rtol=1e-12)
    assert moved.parents == semantics.parents
    assert {n: sorted(moved.leaves(n)) for n in moved.parents} == {
        n: sorted(semantics.leaves(n)) for n in moved.parents
    }


@pytest.mark.parametrize("kind", [None, "path", "wup"])
def test_some_of_the_classes_keep_their_distances(cifar10, kind):
    some = [7, 2, 5, 0]
    np.testing.assert_allclose(cifar10.aligned(some).distance(kind), cifar10.distance(kind)[np.ix_(some, some)])


def test_some_of_the_classes_keep_the_order_of_their_lca_depths(cifar10):
    some = [7, 2, 5, 0]
    ours, theirs = cifar10.aligned(some).distance("lca_depth"), cifar10.distance("lca_depth")[np.ix_(some, some)]
    assert len(set((theirs - ours)[~np.eye(4, dtype=bool)].tolist())) == 1


def test_the_tree_of_some_classes_holds_what_is_above_them(pets):
    some = pets.aligned(["wolf", "cat"])
    assert some.parents == {"cat": "pet", "pet": "animal", "wolf": "animal", "animal": "thing"}
    assert some.leaves("thing") == ["wolf", "cat"]
    assert pets.leaves("animal") == ["cat", "dog", "wolf"]


def test_nodes_that_are_called_by_numbers_keep_their_names():
    semantics = ClassSemantics.from_tree([("1", "a"), ("1", "b"), ("0", "1"), ("0", "c")])
    assert semantics.aligned(["b", "a", "c"]).parents == semantics.parents


def test_new_labels_are_told_apart_from_nodes(pets):
    labels = pets.with_classes(["pet", "x", "y", "z"]).tree.labels
    assert len(set(labels)) == len(labels)


def test_classes_in_their_own_order_are_themselves(pets):
    assert pets.aligned(pets.classes) is pets


def test_aligning_twice_is_aligning_once(cifar10):
    once, twice = cifar10.aligned([3, 5, 9]), cifar10.aligned([9, 1, 5, 3]).aligned([3, 5, 9])
    np.testing.assert_array_equal(once.distance("lca_height"), twice.distance("lca_height"))
    assert once.parents == twice.parents


def test_new_labels_name_the_same_classes(cifar10):
    labels = np.array(["plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"])
    named = cifar10.with_classes(labels)
    assert named.classes.tolist() == labels.tolist()
    assert named.names == cifar10.names
    np.testing.assert_array_equal(named.distance(), cifar10.distance())
    assert named.leaves("carnivore") == ["cat", "dog"]
    assert cifar10.leaves("carnivore") == [3, 5]
    shuffled = labels[::-1]
    np.testing.assert_array_equal(named.aligned(shuffled).distance(), cifar10.distance()[::-1, ::-1])


@pytest.mark.parametrize(
    "labels", [[3, 1, 2, 0], [0.5, 1.5, 2.5, 9.0], list("wxyz"), [-1, 5, 7, 10**12], np.array([4, 3, 2, 1], np.int8)]
)
def test_labels_of_any_kind(pets, labels):
    named = pets.with_classes(labels)
    order = np.argsort(labels)
    moved = named.aligned(np.asarray(labels)[order])
    np.testing.assert_array_equal(moved.distance(), pets.distance()[np.ix_(order, order)])
    assert moved.classes.dtype == np.asarray(labels).dtype


def test_labels_of_two_kinds_are_no_texts(pets):
    named = pets.with_classes([0, "0", 1, "1"])
    assert named.classes.tolist() == [0, "0", 1, "1"]


@pytest.mark.parametrize("kind", [None, *KINDS])
@pytest.mark.parametrize("temperature", [0.05, 0.5, 3.0])
def test_weights_are_powers_of_similarities(cifar10, kind, temperature):
    weights = _warning_if_flat(lambda: cifar10.weights(kind, temperature=temperature))
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-12)
    powers = cifar10.similarity(kind) ** (1 / temperature)
    np.testing.assert_allclose(weights, powers / powers.sum(axis=1, keepdims=True), rtol=1e-9)


@pytest.mark.parametrize("source", ["pets", "cifar10", "imagenet", "study"])
def test_a_temperature_near_zero_is_the_identity(request, source):
    semantics = request.getfixturevalue(source)
    np.testing.assert_allclose(semantics.weights(temperature=1e-4), np.eye(len(semantics)), atol=1e-12)


def test_weights_at_one_are_similarities_by_their_sums(cifar10):
    with pytest.warns(FlatWeightsWarning, match="3 of 10 rows"):
        weights = cifar10.weights()
    assert 0.47 < np.diag(weights).min() < np.diag(weights).max() < 0.58
    np.testing.assert_allclose(weights[1, [9, 8]], cifar10.similarity()[1, [9, 8]] / cifar10.similarity()[1].sum())


def test_weights_mix_with_labels(cifar10):
    with pytest.warns(FlatWeightsWarning):
        whole = cifar10.weights()
    np.testing.assert_allclose(cifar10.weights(mix=0.25), 0.75 * np.eye(10) + 0.25 * whole, rtol=1e-12)
    np.testing.assert_array_equal(cifar10.weights(mix=0), np.eye(10))


def test_rows_of_weights_are_of_the_true_class(study):
    weights = study.weights(temperature=0.5)
    np.testing.assert_allclose(weights[1], np.array([9, 25, 0]) / 34, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("beta", [0.0, 4.0, 30.0])
def test_soft_labels_are_softmaxes_of_distances(cifar10, kind, beta):
    found = _warning_if_flat(lambda: cifar10.soft_labels(beta, kind))
    distance = _by_paths(cifar10.tree, kind) if kind != "path" else np.array(CIFAR10, float)
    terms = np.exp(-beta * distance / distance.max())
    np.testing.assert_allclose(found, terms / terms.sum(axis=1, keepdims=True), rtol=1e-10)


def test_soft_labels_of_a_large_beta_are_labels(pets):
    np.testing.assert_allclose(pets.soft_labels(1e4, "lca_depth"), np.eye(4), atol=1e-12)


def test_flat_weights_are_counted_in_a_warning(pets):
    with pytest.warns(FlatWeightsWarning, match="4 of 4 rows.*0.250 at least") as caught:
        pets.soft_labels(0)
    assert caught[0].filename == __file__


def test_imagenet_is_flat_without_sharpening(imagenet):
    with pytest.warns(FlatWeightsWarning, match="1000 of 1000"):
        weights = imagenet.weights()
    assert np.diag(weights).mean() == pytest.approx(0.012, abs=1e-3)


@pytest.mark.parametrize("vagueness", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("kind", [None, "path", "lca_height", "lca_depth"])
def test_costs_of_nodes_by_their_definition(pets, kind, vagueness):
    tree, cost = pets.tree, pets.node_cost(kind, vagueness=vagueness)
    height = {0: 0, 1: 0, 2: 0, 3: 0, 4: 1, 5: 2, 6: 3}
    assert tree.labels == ["car", "cat", "dog", "wolf", "pet", "animal", "thing"]
    for c in range(4):
        path = tree.path(c)
        for v in range(7):
            if v in path:
                size = {0: 1, 1: 1, 2: 1, 3: 1, 4: 2, 5: 3, 6: 4}[v]
                expected = vagueness * np.log(size) / np.log(4)
            elif kind is None:
                expected = 1
            else:
                common = next(node for node in path if node in tree.path(v))
                expected = {
                    "path": (path.index(common) + tree.path(v).index(common)) / 4,
                    "lca_height": height[common] / 3,
                    "lca_depth": (3 - (len(tree.path(common)) - 1)) / 3,
                }[kind]
            assert cost[c, v] == pytest.approx(expected), (c, v)


def test_costs_of_nodes_fit_their_rule(cifar10):
    ladder = LeastCost(cifar10.node_cost("lca_height")).ladder(np.eye(10), cifar10.tree)
    assert ladder.nodes[:, 0, 0].tolist() == list(range(10))


def test_leaves_and_parents(pets):
    assert pets.parents == {child: parent for parent, child in PETS}
    assert pets.leaves("pet") == ["cat", "dog"]
    assert pets.leaves("thing") == ["car", "cat", "dog", "wolf"]
    assert pets.leaves("wolf") == ["wolf"]


def test_nodes_are_called_as_in_the_edges():
    assert ClassSemantics.from_tree([(10, 1), (10, 2), (11, 10), (11, 3)]).leaves(10) == [1, 2]


def test_sizes_and_texts(pets, study):
    assert len(pets) == 4
    assert repr(pets) == "ClassSemantics(4 classes, 7 nodes, height 3)"
    assert repr(study) == "ClassSemantics(3 classes)"


@pytest.mark.parametrize("source", ["pets", "cifar10", "study"])
def test_semantics_survive_a_pickle(request, source):
    semantics = request.getfixturevalue(source)
    semantics.distance()
    again = pickle.loads(pickle.dumps(semantics))
    np.testing.assert_array_equal(again.distance(), semantics.distance())
    assert again.classes.tolist() == semantics.classes.tolist()


SQUARE = np.array([[0.0, 1, 2], [1, 0, 3], [2, 3, 0]])


def _with(i, j, value):
    changed = SQUARE.copy()
    changed[i, j] = value
    return changed


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (_with(0, 1, 5), r"matrix must be symmetric; \[0, 1\] is 5 and \[1, 0\] is 1"),
        (_with(1, 2, -1), r"matrix must not be negative; got -1 at \[1, 2\]"),
        (_with(0, 0, np.nan), "matrix has NaN or infinite"),
        (_with(0, 1, np.inf), "matrix has NaN or infinite"),
        (_with(1, 1, 0.1), "matrix must be zero on the diagonal"),
        (SQUARE[:2], r"matrix must have shape .* got \(2, 3\)"),
        (SQUARE[0], r"matrix must have shape .* got \(3,\)"),
        ([[0.0]], "matrix must have shape"),
        (np.zeros((3, 3)), "matrix is zero everywhere"),
        ([["a", "b"], ["c", "d"]], "matrix must be numeric"),
    ],
)
def test_what_is_no_distance_is_refused(matrix, message):
    with pytest.raises(ValueError, match=message):
        ClassSemantics.from_matrix(matrix)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (SQUARE, "matrix must be largest on the diagonal.*row 0 has 0 there.*kind='distance'"),
        (np.eye(3) + _with(1, 2, 9) / 4, "matrix must be largest on the diagonal.*row 1 has 1 there, and 2.25"),
        ([[4, 1], [3, 2]], "matrix must be largest on the diagonal.*row 1 has 2 there, and 3 at most"),
        (-np.eye(3), "matrix must not be negative"),
        (np.full((2, 2), np.nan), "matrix has NaN"),
        (np.eye(3)[:2], "matrix must have shape"),
    ],
)
def test_what_is_no_similarity_is_refused(matrix, message):
    with pytest.raises(ValueError, match=message):
        ClassSemantics.from_matrix(matrix, kind="similarity")


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["a", "b"], "classes must name the 3 rows"),
        (["a", "b", "b"], r"classes must be different; \['b'\]"),
        ([["a"], ["b"], ["c"]], "classes must be at least 2 labels"),
        (["a"], "classes must be at least 2 labels"),
    ],
)
def test_labels_that_do_not_fit_are_refused(classes, message):
    with pytest.raises(ValueError, match=message):
        ClassSemantics.from_matrix(SQUARE, classes)


@pytest.mark.parametrize("classes", [["0", "1"], ["airplane", "bird"], [0, 10], [0.5, 1], [None, 1]], ids=str)
def test_classes_that_the_semantics_lack_are_named(cifar10, classes):
    with pytest.raises(ValueError, match=r"semantics lack [12] of the classes, \[.*with_classes"):
        cifar10.aligned(classes)


def test_a_class_that_comes_twice_is_refused(cifar10):
    with pytest.raises(ValueError, match=r"classes must be different; \[3\]"):
        cifar10.aligned([3, 3, 5])


def test_as_many_new_labels_as_classes(pets):
    with pytest.raises(ValueError, match="classes must hold 4 labels"):
        pets.with_classes(["a", "b"])
    with pytest.raises(ValueError, match="names must have one entry for each of 4 classes"):
        ClassSemantics(pets.classes, ["a"], tree=pets.tree)


@pytest.mark.parametrize("method", ["parents", "leaves", "node_cost", "distance"])
def test_without_a_tree_there_is_nothing_to_ask_it(study, method):
    with pytest.raises(ValueError, match=r"no tree\. Grow one"):
        {
            "parents": lambda: study.parents,
            "leaves": lambda: study.leaves("a"),
            "node_cost": study.node_cost,
            "distance": lambda: study.distance("lca_depth"),
        }[method]()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.distance("lca"), r"kind must be one of .*'lca_depth'.*got 'lca'"),
        (lambda s: s.similarity("tree"), "kind must be one of"),
        (lambda s: s.node_cost("wup"), "kind must be one of"),
        (lambda s: s.node_cost(vagueness=-1), "vagueness must be a number at least 0"),
        (lambda s: s.weights(temperature=0), "temperature must be a number above 0"),
        (lambda s: s.weights(temperature="low"), "temperature must be a number above 0"),
        (lambda s: s.weights(mix=1.5), r"mix must lie in \[0, 1\]"),
        (lambda s: s.soft_labels(-1), "beta must be a number at least 0"),
        (lambda s: s.soft_labels(np.nan), "beta must be a number at least 0"),
        (lambda s: s.leaves("cow"), "node must be one of the 7 nodes.*'cow'"),
        (lambda s: ClassSemantics.from_matrix(SQUARE, kind="path"), "kind must be one of"),
    ],
)
def test_parameters_out_of_range_are_named(pets, call, message):
    with pytest.raises(ValueError, match=message):
        call(pets)


@pytest.mark.parametrize(
    ("counts", "y", "classes", "message"),
    [
        ([[1, -1], [0, 1]], [0, 1], None, "counts must not be negative"),
        ([[1, np.nan], [0, 1]], [0, 1], None, "counts has NaN"),
        ([1, 2], [0, 1], None, "counts must have shape"),
        ([[0, 0], [0, 1]], [0, 1], None, "counts: nobody labelled 1 samples"),
        ([[1, 0], [0, 1]], [0, 1], ["a", "b", "c"], "classes must name the 2 columns"),
        ([[1, 0], [0, 1]], [0, 1, 1], None, "y must have a label for each of the 2 rows"),
        ([[1, 0], [0, 1]], [0, 0], None, "y holds no sample of the class 1"),
        ([[1, 0], [0, 1]], ["0", "1"], None, "y holds"),
        ([[0, 1], [1, 0]], [0, 1], None, r"counts: nobody recognised the classes \[0, 1\]"),
    ],
)
def test_counts_that_are_none_are_refused(counts, y, classes, message):
    with pytest.raises(ValueError, match=message):
        ClassSemantics.from_counts(counts, y, classes)


def test_labels_of_no_column_are_refused():
    with pytest.raises(ValueError, match="y holds"):
        ClassSemantics.from_counts([[3, 1], [1, 3], [2, 2]], [0, 1, 7])


@pytest.mark.parametrize(
    ("ratings", "own", "message"),
    [
        ([[1, 2, 3], [1, 2, 3]], None, "ratings must have shape"),
        (np.zeros((0, 3, 3)), None, "ratings must have shape"),
        ([[4, -1], [1, 4]], None, "ratings must be finite and not negative"),
        ([[4, np.inf], [1, 4]], None, "ratings must be finite and not negative"),
        ([[4, np.nan], [1, 4]], None, r"ratings: nobody rated the pair \[0, 1\]"),
        (np.full((2, 3, 3), np.nan), None, r"ratings: nobody rated the pair \[0, 1\], and 6"),
        ([[4, 3], [2, 4]], 2.5, "own must be at least the largest mean rating"),
        ([[4, 3], [2, 4]], np.nan, "own must be at least the largest mean rating"),
        ([[0, 0], [0, 0]], None, "own must be at least the largest mean rating, which must be positive"),
    ],
)
def test_ratings_that_are_none_are_refused(ratings, own, message):
    with pytest.raises(ValueError, match=message):
        ClassSemantics.from_ratings(ratings, own=own)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        ([[1.0], [np.nan]], [0, 1], "X has NaN"),
        ([[1.0], [2.0]], [0, 0], "y"),
        ([[1.0], [2.0]], [0, 1, 1], "X must have shape"),
        ([1.0, 2.0], [0, 1], "X must have shape"),
    ],
)
def test_features_that_are_none_are_refused(X, y, message):
    with pytest.raises(ValueError, match=message):
        ClassSemantics.from_features(X, y)

"""Rules: every ladder against the definition of its rule, threshold by threshold, and rows in any company."""

from functools import cache
from itertools import combinations, pairwise, product

import numpy as np
import pytest

from abstain import RejectCost
from abstain.decisions import least_expected_cost
from abstain.semantics import (
    DARTS,
    ClassSemantics,
    ClassTree,
    Climb,
    LeafOrRoot,
    LeastCost,
    MaxCoverage,
    NodeSets,
)
from abstain.utils.validation import row_blocks

RULES = [LeafOrRoot(), Climb(), MaxCoverage(), DARTS(), NodeSets(1), NodeSets(2), NodeSets(3), LeastCost()]
NEAR_TIES = [("r", 0), ("r", "a"), ("a", 1), ("a", "b"), ("b", 2), ("b", 3), ("r", "c"), ("c", 4), ("c", 5), ("c", 6)]


def _random_tree(n_classes, seed, single=0.0):
    rng = np.random.default_rng(seed)
    nodes, edges, names = list(range(n_classes)), [], iter(f"n{i:03d}" for i in range(999))
    while len(nodes) > 1:
        rng.shuffle(nodes)
        joined, nodes = nodes[: (size := int(rng.integers(2, 4)))], nodes[size:]
        nodes.append(next(names))
        edges += [(nodes[-1], child) for child in joined]
        if nodes[:-1] and rng.random() < single:
            edges.append((only := next(names), nodes.pop()))
            nodes.append(only)
    return ClassSemantics.from_tree(edges, classes=range(n_classes)).tree


@cache
def _tree(name):
    return {
        "flat": lambda: ClassTree([5] * 5 + [-1], [*range(5), "any"]),
        "two": lambda: ClassTree([2, 2, -1], [0, 1, "any"]),
        "binary": lambda: ClassSemantics.from_matrix(
            np.abs(np.subtract.outer([0, 1, 3, 4, 9, 11, 12.5], [0, 1, 3, 4, 9, 11, 12.5]))
        ).grown().tree,
        "random": lambda: _random_tree(8, 0),
        "single": lambda: _random_tree(7, 1, single=0.7),
        "below": lambda: ClassTree([4, 3, 3, 4, 5, -1], [0, 1, 2, "n", "m", "top"]),
        "imagenet": lambda: ClassSemantics.imagenet().tree,
    }[name]()  # fmt: skip


TREES = ["flat", "two", "binary", "random", "single", "below", "imagenet"]


def _rows(tree, kind, seed=0):
    k, rng = tree.n_classes, np.random.default_rng(seed)
    if kind == "random":
        return rng.dirichlet(np.full(k, 0.5 if k < 100 else 0.01), 6)
    if kind == "one-hot":
        return np.eye(k)[rng.integers(0, k, 4)]
    if kind == "uniform":
        return np.full((2, k), 1 / k)
    if kind == "ties":  # of eighths, whose sums are exact
        return np.stack([np.bincount(rng.integers(0, k, 8), minlength=k) / 8 for _ in range(6)])
    tiny = 10.0 ** -rng.choice([15, 100, 300], (5, k))
    tiny[np.arange(5), rng.integers(0, k, 5)] = 1.0
    return tiny


KINDS = ["random", "one-hot", "uniform", "ties", "tiny"]
EVERYWHERE = pytest.mark.parametrize(("name", "kind"), list(product(TREES, KINDS)))


def _masses(proba, tree):
    """Probability of each node and of all else, of sums of their own."""
    inside = tree.contains
    return (np.stack([proba[:, part].sum(axis=1) for part in rows], axis=1) for rows in (inside, ~inside))


def _log_odds(mass, rest):
    with np.errstate(divide="ignore"):
        return np.maximum(np.log(mass), -1e6) - np.maximum(np.log(rest), -1e6)


def _between(until, odds=()):
    """Thresholds inside all the intervals in which answers cannot change, away from their ends."""
    points = np.unique(np.concatenate([np.ravel(until), np.ravel(odds)]))
    points = points[np.append(True, np.diff(points) > 1e-9 * np.maximum(1, np.abs(points[1:])))]
    middle = 0.5 * (points[1:] + points[:-1])
    middle = middle[np.linspace(0, len(middle) - 1, min(len(middle), 40)).astype(int)] if len(middle) else middle
    return [points[0] - 1, *middle, points[-1] + 1]


def _clear(odds, threshold):
    """Whether no node is so near to a threshold that rounding would decide."""
    return (np.abs(odds - threshold) > 1e-9 * max(1, abs(threshold))).all()


@EVERYWHERE
def test_leaf_or_root_is_the_largest_probability(name, kind):
    tree = _tree(name)
    proba = _rows(tree, kind)
    ladder = LeafOrRoot().ladder(proba, tree)
    top, rows = proba.argmax(axis=1), np.arange(len(proba))
    others = proba.copy()
    others[rows, top] = 0
    assert ladder.nodes[:, :, 0].tolist() == top[:, None].tolist()
    np.testing.assert_allclose(ladder.until[:, 0], _log_odds(proba[rows, top], others.sum(axis=1)), rtol=1e-12)
    assert ladder.at(ladder.until[:, 0])[:, 0].tolist() == top.tolist()
    assert (ladder.at(np.nextafter(ladder.until[:, 0], np.inf))[:, 0] == tree.root).all()


@EVERYWHERE
def test_climb_is_the_first_node_above_the_likeliest_class_that_is_probable_enough(name, kind):
    tree = _tree(name)
    proba = _rows(tree, kind)
    odds = _log_odds(*_masses(proba, tree))
    ladder, checked = Climb().ladder(proba, tree), 0
    for i, row in enumerate(odds):
        path = [v for v in tree.path(proba[i].argmax()) if tree.n_leaves[v] < tree.n_classes]
        for threshold in _between(ladder.until[i], row[path]):
            expected = next((v for v in path if row[v] >= threshold), tree.root)
            if _clear(row[path], threshold):
                checked += 1
                assert ladder.at(threshold)[i, 0] == expected
    assert checked >= 2 * len(proba)


@EVERYWHERE
def test_max_coverage_is_the_smallest_of_all_nodes_that_are_probable_enough(name, kind):
    tree = _tree(name)
    proba = _rows(tree, kind)
    odds = _log_odds(*_masses(proba, tree))[:, tree.n_leaves < tree.n_classes]
    ladder, checked = MaxCoverage().ladder(proba, tree), 0
    for i, row in enumerate(odds):
        for threshold in _between(ladder.until[i], row):
            enough = np.flatnonzero(row >= threshold)
            if not _clear(row, threshold):
                continue
            checked += 1
            answer = ladder.at(threshold)[i, 0]
            if not len(enough):
                assert answer == tree.root
                continue
            assert answer in enough
            assert tree.n_leaves[answer] == tree.n_leaves[enough].min()
            equals = enough[tree.n_leaves[enough] == tree.n_leaves[answer]]
            assert row[answer] >= row[equals].max() - 1e-9
    assert checked >= 2 * len(proba)


@EVERYWHERE
def test_darts_maximises_the_expected_reward(name, kind):
    tree = _tree(name)
    proba = _rows(tree, kind)
    mass, _ = _masses(proba, tree)
    ladder = DARTS().ladder(proba, tree)
    for i, row in enumerate(mass):
        for bonus in [-0.999, -0.5, 0.0, 0.1, 1.0, 7.0, 1e3, *_between(np.append(ladder.until[i], -1))[1:-1]]:
            if not -1 < bonus <= 1e6:
                continue
            reward = (tree.information + bonus) * row
            answer = ladder.at(bonus)[i, 0]
            assert reward[answer] >= reward.max() - 1e-9 * max(1, abs(bonus)), (i, bonus)


@pytest.mark.parametrize("seed", range(3))
def test_darts_turns_where_two_nodes_are_worth_the_same(seed):
    tree = _random_tree(8, seed)
    proba = np.random.default_rng(seed).dirichlet(np.ones(8), 20)
    mass, _ = _masses(proba, tree)
    ladder = DARTS().ladder(proba, tree)
    for i in range(20):
        for column, until in enumerate(ladder.until[i]):
            this, after = ladder.nodes[i, column, 0], ladder.at(np.nextafter(until, np.inf))[i, 0]
            worth = [(tree.information[v] + until) * mass[i, v] for v in (this, after)]
            assert worth[0] == pytest.approx(worth[1], abs=1e-9)
            assert mass[i, after] > mass[i, this]


@pytest.mark.parametrize("name", ["binary", "random", "single"])
def test_darts_is_the_bayes_decision_for_vagueness_that_costs(name):
    tree = _tree(name)
    proba = _rows(tree, "random")
    for kappa in (0.2, 0.5, 0.9):
        expected = proba @ tree.cost(vagueness=kappa)
        chosen = DARTS().ladder(proba, tree).at((1 - kappa) / kappa)[:, 0]
        np.testing.assert_allclose(expected[np.arange(6), chosen], expected.min(axis=1), rtol=1e-12)


@EVERYWHERE
@pytest.mark.parametrize("own", [False, True])
def test_least_cost_is_the_smallest_expected_cost(name, kind, own):
    tree = _tree(name)
    proba = _rows(tree, kind)
    if not own:
        cost, rule = tree.cost(), LeastCost()
    else:
        cost = np.random.default_rng(0).random((tree.n_classes, len(tree)))
        rule = LeastCost(cost)
    expected = proba @ cost
    ladder = rule.ladder(proba, tree)
    assert ladder.nodes.shape == (len(proba), 1, 1)
    chosen = expected[np.arange(len(proba)), ladder.nodes[:, 0, 0]]
    np.testing.assert_allclose(chosen, expected[:, :-1].min(axis=1), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(ladder.until[:, 0], expected[:, -1] - chosen, atol=1e-12)
    clear = np.abs(ladder.until[:, 0]) > 1e-9
    answered = ladder.at(0.0)[:, 0]
    best = expected[np.arange(len(proba)), answered]
    np.testing.assert_allclose(best[clear], expected.min(axis=1)[clear], rtol=1e-12, atol=1e-15)


def _smallest_common(tree, classes):
    above = np.flatnonzero(tree.contains[:, classes].all(axis=1))
    return int(above[np.lexsort([-tree.depth[above], tree.n_leaves[above]])[0]])


@EVERYWHERE
def test_one_node_is_the_smallest_that_holds_the_likeliest_classes(name, kind):
    tree = _tree(name)
    proba = _rows(tree, kind)
    mass, rest = _masses(proba, tree)
    odds = _log_odds(mass, rest)
    ladder = NodeSets(1).ladder(proba, tree)
    for i in range(len(proba)):
        order = np.argsort(-proba[i], kind="stable")
        chain = [_smallest_common(tree, order[: j + 1]) for j in range(min(len(order), 60))]
        chain = [v for v in dict.fromkeys(chain) if tree.n_leaves[v] < tree.n_classes]
        given = [odds[i, v] for v in chain]
        for threshold in _between(given):
            if _clear(odds[i, chain], threshold) and (threshold < max(given) or tree.n_classes < 60):
                expected = next((v for v in chain if odds[i, v] >= threshold), tree.root)
                assert ladder.at(threshold)[i].tolist() == [expected]


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("name", TREES)
def test_sets_are_few_disjoint_nodes_that_grow(name, size):
    tree = _tree(name)
    proba = np.concatenate([_rows(tree, kind)[:3] for kind in KINDS])
    ladder = NodeSets(size).ladder(proba, tree)
    assert ladder.nodes.shape[2] == size
    for i, row in enumerate(ladder.nodes):
        before = np.zeros(tree.n_classes, dtype=bool)
        for nodes, until in zip(row, ladder.until[i], strict=True):
            there = nodes[nodes >= 0]
            assert len(there) >= 1
            count = tree.contains[there].sum(axis=0)
            assert count.max() == 1
            assert count.sum() < tree.n_classes
            assert (count >= before).all()
            before = count > 0
            p, q = proba[i, before].sum(), proba[i, ~before].sum()
            assert until >= _log_odds(p, q) - 1e-9
        assert ladder.nodes[i, 0, 0] == proba[i].argmax()


@pytest.mark.parametrize("name", ["flat", "binary", "random", "single"])
def test_as_many_nodes_as_classes_are_the_likeliest_classes(name):
    tree = _tree(name)
    proba = _rows(tree, "random")
    ladder = NodeSets(tree.n_classes).ladder(proba, tree)
    for i, row in enumerate(ladder.nodes):
        order = np.argsort(-proba[i])
        for j, nodes in enumerate(row[: tree.n_classes - 1]):
            held = np.flatnonzero(tree.contains[nodes[nodes >= 0]].any(axis=0))
            assert held.tolist() == sorted(order[: j + 1].tolist())


@pytest.mark.parametrize("seed", range(4))
def test_too_many_nodes_are_joined_where_the_fewest_classes_are_added(seed):
    tree = _random_tree(14, seed)
    proba = np.random.default_rng(seed).dirichlet(np.ones(14), 30)
    ladder = NodeSets(3).ladder(proba, tree)
    for i, row in enumerate(ladder.nodes):
        for before, nodes in pairwise(row):
            held, now = (tree.contains[part[part >= 0]].any(axis=0) for part in (before, nodes))
            if (before == nodes).all() or (before < 0).any():
                continue
            new = np.where(held, -1, proba[i]).argmax()
            options = []
            for a, b in combinations([*before, new], 2):
                joint = _smallest_common(tree, np.flatnonzero(tree.contains[[a, b]].any(axis=0)))
                kept = [v for v in [*before, new] if not tree.contains[joint, tree.a_leaf[v]]]
                options.append(tree.contains[[joint, *kept]].any(axis=0).sum())
            assert now.sum() == min(options)


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_thresholds_never_fall_along_a_row(rule):
    for name, kind in product(TREES, KINDS):
        tree = _tree(name)
        ladder = rule.ladder(_rows(tree, kind), tree)
        assert np.isfinite(ladder.until).all(), (name, kind)
        assert (ladder.nodes[:, :, 0] < tree.root).all(), (name, kind)
        assert (np.diff(ladder.until, axis=1) >= 0).all(), (name, kind)


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_thresholds_never_fall_where_nodes_tie_but_for_rounding(rule):
    tree = ClassSemantics.from_tree(NEAR_TIES, classes=range(7)).tree
    proba = np.array([[1, 7, 6, 1, 2, 6, 3], [0, 4, 3, 1, 0, 5, 0], [2, 3, 1, 2, 3, 0, 0]]) / [[26], [13], [11]]
    assert (np.diff(rule.ladder(proba, tree).until, axis=1) >= 0).all()


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_rows_that_are_certain_do_not_warn(rule):
    tree = _tree("random")
    ladder = rule.ladder(np.eye(8), tree)
    assert ladder.nodes[:, 0, 0].tolist() == list(range(8))


def test_a_policy_takes_ladders_with_ties_but_for_rounding():
    tree = ClassSemantics.from_tree(NEAR_TIES, classes=range(7)).tree
    proba = np.array([[1, 7, 6, 1, 2, 6, 3], [9, 1, 1, 2, 1, 1, 1]]) / [[26], [16]]
    ladder = MaxCoverage().ladder(proba, tree)
    RejectCost(0.3).fit(ladder.until, loss=ladder.losses([1, 0]))


@pytest.mark.parametrize("rule", [Climb(), NodeSets(1), NodeSets(2)], ids=repr)
def test_answers_that_hold_each_other_are_never_wrong_again(rule):
    for name, kind in product(TREES, KINDS):
        tree = _tree(name)
        proba = _rows(tree, kind)
        ladder = rule.ladder(proba, tree)
        for code in range(0, tree.n_classes, max(1, tree.n_classes // 10)):
            assert (np.diff(ladder.losses(np.full(len(proba), code)), axis=1) <= 0).all(), (name, kind)
        assert (np.diff(ladder.information, axis=1) <= 1e-15).all(), (name, kind)


@pytest.mark.parametrize("rule", RULES[:-1], ids=repr)
def test_an_answer_is_of_one_threshold(rule):
    for name, kind in product(TREES, KINDS):
        tree = _tree(name)
        ladder = rule.ladder(_rows(tree, kind), tree)
        same = np.diff(ladder.until, axis=1) == 0
        assert (ladder.nodes[:, 1:] == ladder.nodes[:, :-1]).all(axis=2)[same].all(), (name, kind)


@pytest.mark.parametrize("name", ["flat", "random", "single", "below"])
@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_the_first_answer_is_a_class(rule, name):
    tree = _tree(name)
    proba = _rows(tree, "random") if not isinstance(rule, LeastCost) else np.eye(tree.n_classes)
    ladder = rule.ladder(proba, tree)
    assert (ladder.nodes[:, 0, 0] == proba.argmax(axis=1)).all()


@pytest.mark.parametrize("kind", ["random", "tiny", "ties"])
@pytest.mark.parametrize("name", ["random", "single", "imagenet"])
@pytest.mark.parametrize("rule", RULES[:-1], ids=repr)
def test_a_row_has_one_ladder_in_any_company(rule, name, kind):
    tree = _tree(name)
    proba = _rows(tree, kind)
    whole = rule.ladder(proba, tree)
    backwards = rule.ladder(proba[::-1], tree)
    np.testing.assert_array_equal(backwards.until[::-1], whole.until)
    np.testing.assert_array_equal(backwards.nodes[::-1], whole.nodes)
    for i in range(len(proba)):
        alone = rule.ladder(proba[[i]], tree)
        width = alone.until.shape[1]
        np.testing.assert_array_equal(alone.until[0], whole.until[i, :width])
        np.testing.assert_array_equal(alone.nodes[0], whole.nodes[i, :width])
        assert (whole.nodes[i, width:] == alone.nodes[0, -1]).all()
        assert (whole.until[i, width:] == alone.until[0, -1]).all()


def test_of_equal_costs_a_row_has_one_answer_in_any_company():
    tree = ClassSemantics.from_tree(NEAR_TIES, classes=range(7)).tree
    proba = np.random.default_rng(1).integers(0, 4, (64, 7)).astype(float)
    proba /= proba.sum(axis=1, keepdims=True)
    rule = LeastCost(tree.cost(vagueness=1.0))
    whole = rule.ladder(proba, tree).nodes
    np.testing.assert_array_equal(np.concatenate([rule.ladder(proba[[i]], tree).nodes for i in range(64)]), whole)


def test_least_cost_of_a_row_is_the_same_in_any_company_but_for_rounding():
    tree = _tree("random")
    proba = _rows(tree, "random")
    whole = LeastCost().ladder(proba, tree)
    for i in range(len(proba)):
        alone = LeastCost().ladder(proba[[i]], tree)
        assert alone.nodes[0].tolist() == whole.nodes[i].tolist()
        np.testing.assert_allclose(alone.until[0], whole.until[i], atol=1e-14)


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_blocks_do_not_show(rule, monkeypatch):
    tree = _tree("random")
    proba = np.concatenate([_rows(tree, kind) for kind in ("random", "ties", "tiny", "uniform")])
    whole = rule.ladder(proba, tree)
    monkeypatch.setattr("abstain.semantics.tree.row_blocks", lambda n, *size: row_blocks(n, 1, 3))
    parts = rule.ladder(proba, tree)
    np.testing.assert_array_equal(parts.nodes, whole.nodes)
    np.testing.assert_array_equal(parts.until, whole.until)


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_shorter_floats_give_the_ladder_of_what_they_hold(rule):
    tree = _tree("random")
    short = _rows(tree, "random").astype(np.float32)
    one, other = rule.ladder(short, tree), rule.ladder(short.astype(np.float64), tree)
    np.testing.assert_array_equal(one.nodes, other.nodes)
    np.testing.assert_allclose(one.until, other.until, atol=1e-6)
    assert one.until.dtype == np.float64


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_the_layout_of_the_rows_does_not_matter(rule):
    tree = _random_tree(20, 4)
    proba = np.random.default_rng(0).dirichlet(np.ones(20), 40)
    one, other = rule.ladder(proba, tree), rule.ladder(np.asfortranarray(proba), tree)
    np.testing.assert_array_equal(one.nodes, other.nodes)
    np.testing.assert_array_equal(one.until, other.until)


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_the_order_of_the_classes_does_not_matter(rule):
    semantics = ClassSemantics.from_tree(NEAR_TIES, classes=range(7))
    order = np.random.default_rng(0).permutation(7)
    proba = np.random.default_rng(1).dirichlet(np.ones(7), 10)
    codes = np.arange(10) % 7
    ladder = rule.ladder(proba, semantics.tree)
    moved = rule.ladder(proba[:, order], semantics.aligned(order).tree)
    np.testing.assert_allclose(moved.until, ladder.until, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(moved.information, ladder.information, rtol=1e-12)
    np.testing.assert_array_equal(moved.losses(np.argsort(order)[codes]), ladder.losses(codes))


def test_ladders_by_hand():
    tree = ClassSemantics.from_tree([("pet", "cat"), ("pet", "dog"), ("any", "pet"), ("any", "wolf")]).tree
    ladder = Climb().ladder(np.array([[0.6, 0.3, 0.1]]), tree)
    assert list(dict.fromkeys(ladder.nodes[0, :, 0].tolist())) == [0, 3]
    np.testing.assert_allclose(np.unique(ladder.until), np.log([0.6 / 0.4, 0.9 / 0.1]))
    np.testing.assert_allclose(ladder.score, [np.log(9)])
    assert ladder.losses([0])[0, :2].tolist() == [0, 0]
    assert ladder.losses([1])[0, :2].tolist() == [1, 0]
    assert ladder.losses([2])[0, :2].tolist() == [1, 1]
    np.testing.assert_allclose(ladder.information[0, :2], [1, 1 - np.log(2) / np.log(3)])
    assert [ladder.at(t)[0, 0] for t in (-9, 0.4, 0.5, 2.19, 2.2, np.inf)] == [0, 0, 3, 3, 4, 4]


def test_each_sample_may_have_a_threshold_of_its_own():
    tree = _tree("random")
    ladder = NodeSets(2).ladder(_rows(tree, "random"), tree)
    threshold = np.array([-9.0, -1.0, 0.0, 1.0, 3.0, np.inf])
    found = ladder.at(threshold)
    for i, t in enumerate(threshold):
        assert found[i].tolist() == ladder.at(t)[i].tolist()
    assert found[-1].tolist() == [tree.root, -1]


def test_information_of_a_set_is_that_of_all_classes_under_it():
    tree = ClassTree([5] * 5 + [-1], [*range(5), "any"])
    ladder = NodeSets(2).ladder(np.array([[0.5, 0.2, 0.15, 0.1, 0.05]]), tree)
    assert ladder.nodes[0].tolist() == [[0, -1], [0, 1]]
    np.testing.assert_allclose(ladder.information, [[1, 1 - np.log(2) / np.log(5)]])
    assert ladder.losses([1]).tolist() == [[1, 0]]


@pytest.mark.parametrize("rule", RULES[1:-1], ids=repr)
def test_a_node_that_holds_all_classes_is_no_answer(rule):
    semantics = ClassSemantics.from_tree(
        [("pet", "cat"), ("pet", "dog"), ("pet", "cow"), ("any", "pet"), ("any", "car")]
    )
    pets = semantics.aligned(["cat", "cow", "dog"])
    ladder = rule.ladder(np.array([[0.4, 0.35, 0.25]]), pets.tree)
    assert (ladder.information > 0).all()


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "2"])
def test_a_number_of_nodes_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError, match="max_nodes must be a whole number"):
        NodeSets(wrong).ladder(np.full((1, 5), 0.2), _tree("flat"))


@pytest.mark.parametrize(
    "cost", [np.ones((5, 5)), np.ones((6, 5)), -np.ones((5, 6)), np.full((5, 6), np.nan), np.ones(6)], ids=str
)
def test_costs_of_nodes_that_are_none_are_refused(cost):
    with pytest.raises(ValueError, match=r"cost must be finite.*\(5, 6\)"):
        LeastCost(cost).ladder(np.full((1, 5), 0.2), _tree("flat"))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_least_expected_cost_is_a_product(dtype):
    rng = np.random.default_rng(0)
    proba, cost = rng.dirichlet(np.ones(6), 50).astype(dtype), rng.random((6, 9))
    answer, expected = least_expected_cost(proba, cost)
    costs = proba.astype(np.float64) @ cost
    np.testing.assert_allclose(expected, costs.min(axis=1), rtol=1e-5 if dtype != np.float64 else 1e-12)
    clear = np.diff(np.sort(costs, axis=1)[:, :2], axis=1)[:, 0] > 1e-5
    assert clear.sum() > 40
    np.testing.assert_array_equal(answer[clear], costs.argmin(axis=1)[clear])


def test_of_equal_costs_the_first_is_the_answer():
    assert least_expected_cost(np.array([[0.5, 0.5]]), np.array([[0, 2, 1], [2, 0, 1.0]]))[0].tolist() == [0]

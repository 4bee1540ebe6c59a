"""Hierarchical metrics: curves against thresholds one by one, the AUGRC without inner nodes, and scores by hand."""

import numpy as np
import pytest

from abstain.metrics import augrc, haurc, hierarchical_precision_recall, hierarchical_risk_coverage_curve
from abstain.semantics import DARTS, ClassSemantics, ClassTree, Climb, LeafOrRoot, LeastCost, MaxCoverage, NodeSets
from abstain.semantics.ladder import Ladder

RULES = [LeafOrRoot(), Climb(), MaxCoverage(), DARTS(), NodeSets(1), NodeSets(2), LeastCost()]
EDGES = [("pet", 0), ("pet", 1), ("animal", "pet"), ("animal", 2), ("thing", "animal"), ("thing", 3), ("thing", "car")]
TREE = ClassSemantics.from_tree([*EDGES, ("car", 4), ("car", 5)], range(6)).tree
FLAT = ClassTree([6] * 6 + [-1], [*range(6), "any"])


def _data(kind, n=40, seed=0):
    rng = np.random.default_rng(seed)
    if kind == "random":
        P = rng.dirichlet(np.full(6, 0.7), n)
    elif kind == "one-hot":
        P = np.eye(6)[rng.integers(0, 6, n)]
    elif kind == "ties":
        P = np.stack([np.bincount(rng.integers(0, 6, 4), minlength=6) / 4 for _ in range(n)])
    else:
        P = np.full((n, 6), 1 / 6)
    codes = np.array([rng.choice(6, p=row) for row in P]) if kind != "one-hot" else rng.integers(0, 6, n)
    return P, codes


def _by_threshold(codes, ladder, threshold):
    """Mean information and loss of the answers at a threshold, sample by sample."""
    information, loss = [], []
    for code, nodes in zip(codes, ladder.at(threshold), strict=True):
        classes = {c for v in nodes if v >= 0 for c in ladder.tree.leaves(v).tolist()}
        information.append(1 - np.log(len(classes)) / np.log(ladder.tree.n_classes))
        loss.append(code not in classes)
    return np.mean(information), np.mean(loss)


@pytest.mark.parametrize("kind", ["random", "one-hot", "ties", "uniform"])
@pytest.mark.parametrize("tree", [TREE, FLAT], ids=["tree", "flat"])
@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_curves_are_the_answers_at_each_threshold(rule, tree, kind):
    P, codes = _data(kind)
    ladder = rule.ladder(P, tree)
    coverage, risk, threshold = hierarchical_risk_coverage_curve(codes, ladder)
    for c, r, t in zip(coverage, risk, threshold, strict=True):
        assert (c, r) == pytest.approx(_by_threshold(codes, ladder, t), abs=1e-12)
    np.testing.assert_array_equal(threshold[1:], np.unique(ladder.until)[::-1])
    assert (coverage[0], risk[0], threshold[0]) == (0, 0, np.inf)


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_areas_are_by_trapezoids(rule):
    P, codes = _data("random")
    ladder = rule.ladder(P, TREE)
    coverage, risk, _ = hierarchical_risk_coverage_curve(codes, ladder)
    assert haurc(codes, ladder) == pytest.approx(np.trapezoid(risk, coverage))


@pytest.mark.parametrize("rule", [LeafOrRoot(), Climb(), MaxCoverage(), NodeSets(1)], ids=repr)
def test_the_boldest_answers_are_classes(rule):
    P, codes = _data("random")
    coverage, risk, _ = hierarchical_risk_coverage_curve(codes, rule.ladder(P, TREE))
    assert coverage[-1] == pytest.approx(1)
    assert risk[-1] == pytest.approx((P.argmax(axis=1) != codes).mean())


@pytest.mark.parametrize("kind", ["random", "one-hot", "ties", "uniform"])
@pytest.mark.parametrize("rule", [LeafOrRoot(), Climb(), MaxCoverage(), DARTS(), NodeSets(1)], ids=repr)
def test_without_inner_nodes_the_area_is_the_augrc(rule, kind):
    P, codes = _data(kind)
    ladder = rule.ladder(P, FLAT)
    assert haurc(codes, ladder) == pytest.approx(augrc(P.argmax(axis=1) == codes, ladder.score), abs=1e-12)


def test_a_class_or_nothing_is_the_augrc_on_any_tree():
    P, codes = _data("random")
    ladder = LeafOrRoot().ladder(P, TREE)
    assert haurc(codes, ladder) == pytest.approx(augrc(P.argmax(axis=1) == codes, P.max(axis=1)))


def test_curve_and_area_by_hand():
    tree = ClassSemantics.from_tree([("pet", "cat"), ("pet", "dog"), ("any", "pet"), ("any", "wolf")]).tree
    ladder = Climb().ladder(np.array([[0.6, 0.3, 0.1], [0.1, 0.1, 0.8]]), tree)
    coverage, risk, threshold = hierarchical_risk_coverage_curve([1, 2], ladder)
    pet = 1 - np.log(2) / np.log(3)
    np.testing.assert_allclose(threshold, [np.inf, np.log(9), np.log(4), np.log(1.5)])
    np.testing.assert_allclose(coverage, [0, pet / 2, (1 + pet) / 2, 1])
    np.testing.assert_allclose(risk, [0, 0, 0, 0.5])
    assert haurc([1, 2], ladder) == pytest.approx((1 - pet) / 2 * 0.25)


def test_answers_that_are_never_given_do_not_count():
    ladder = Ladder(FLAT, np.array([[[0], [1], [1]]]), np.array([[1.0, 1.0, 2.0]]))
    coverage, _, threshold = hierarchical_risk_coverage_curve([0], ladder)
    assert (coverage.tolist(), threshold.tolist()) == ([0, 1, 1], [np.inf, 2, 1])


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_the_order_of_the_samples_does_not_matter(rule):
    P, codes = _data("ties")
    order = np.random.default_rng(1).permutation(len(P))
    one = haurc(codes, rule.ladder(P, TREE))
    assert haurc(codes[order], rule.ladder(P[order], TREE)) == pytest.approx(one, abs=1e-12)


def _scores_by_hand(codes, nodes, tree):
    precision, recall = [], []
    for code, node in zip(codes, nodes, strict=True):
        common = next(v for v in tree.path(code) if v in tree.path(node))
        said, shared = tree.information[node], tree.information[common]
        precision.append(shared / said if node != tree.root else 1.0)
        recall.append(shared)
    return np.mean(precision), np.mean(recall)


@pytest.mark.parametrize("seed", range(3))
def test_precision_and_recall_are_shares_of_information(seed):
    rng = np.random.default_rng(seed)
    codes, nodes = rng.integers(0, 6, 50), rng.integers(0, len(TREE), 50)
    found = hierarchical_precision_recall(codes, nodes, TREE)
    precision, recall = _scores_by_hand(codes, nodes, TREE)
    assert found.precision == pytest.approx(precision)
    assert found.recall == pytest.approx(recall)
    assert found.f1 == pytest.approx(2 / (1 / precision + 1 / recall))


def test_classes_alone_in_a_flat_tree_have_the_accuracy():
    codes, answers = np.arange(12) % 6, np.arange(12) % 4
    accuracy = (codes == answers).mean()
    np.testing.assert_allclose(hierarchical_precision_recall(codes, answers, FLAT), [accuracy] * 3)


def test_saying_nothing_is_precise_and_recalls_nothing():
    assert hierarchical_precision_recall([0, 1], [TREE.root] * 2, TREE) == (1.0, 0.0, 0.0)
    assert hierarchical_precision_recall([0, 1], [0, 1], TREE) == pytest.approx((1.0, 1.0, 1.0))
    assert hierarchical_precision_recall([0, 0], [3, 4], TREE) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("codes", [[0], [0, 6], [0, -1], [0.5, 1], ["0", "1"], [[0, 1]], [0, np.nan]], ids=str)
@pytest.mark.parametrize("metric", [haurc, hierarchical_risk_coverage_curve])
def test_codes_that_are_none_are_refused(metric, codes):
    ladder = Climb().ladder(np.full((2, 6), 1 / 6), TREE)
    with pytest.raises(ValueError, match="codes"):
        metric(codes, ladder)


@pytest.mark.parametrize(
    ("codes", "nodes", "name"),
    [([0, 6], [0, 1], "codes"), ([0, 1], [0, len(TREE)], "nodes"), ([0, 1], [0, -1], "nodes"), ([0, 1], [0], "nodes")],
)
def test_nodes_that_are_none_are_refused(codes, nodes, name):
    with pytest.raises(ValueError, match=name):
        hierarchical_precision_recall(codes, nodes, TREE)

"""Losses that know the classes: where their minimum is, hierarchical cross-entropy by its definition, and torch."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from abstain import testing
from abstain.losses import HXELoss, SoftmaxLoss, WLFLoss
from abstain.semantics import ClassSemantics

WEIGHTS = np.array([[0.7, 0.1, 0.2, 0.0], [0.25, 0.5, 0.0, 0.25], [0.0, 0.0, 1.0, 0.0], [0.05, 0.05, 0.3, 0.6]])
TREES = {
    "flat": [4, 4, 4, 4, -1],
    "pairs": [4, 4, 5, 5, 6, 6, -1],
    "chain": [4, 4, 5, 6, 5, 6, -1],
    "single": [5, 5, 4, 6, 7, 6, 7, -1],
    "deep": [4, 4, 7, 7, 5, 6, 7, 8, -1],
}


def _random_parents(n_classes, seed):
    rng = np.random.default_rng(seed)
    nodes, edges, name = list(range(n_classes)), [], n_classes
    while len(nodes) > 1:
        rng.shuffle(nodes)
        size = int(rng.integers(2, 4))
        edges += [(f"n{name}", child) for child in nodes[:size]]
        nodes, name = [f"n{name}", *nodes[size:]], name + 1
    return ClassSemantics.from_tree(edges, range(n_classes)).tree.parents


def _data(n=9, n_classes=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, n_classes)) * 2, rng.integers(0, n_classes, n)


def _paths(parents):
    n_classes = len(parents) - len({p for p in parents if p >= 0})
    found = []
    for leaf in range(n_classes):
        path = [leaf]
        while parents[path[-1]] >= 0:
            path.append(int(parents[path[-1]]))
        found.append(path)
    return found


def _by_conditionals(parents, alpha, logits, codes):
    """Sum of weighted logarithms of the conditional probability of each step from the root."""
    paths = _paths(parents)
    proba = softmax(logits, axis=1)

    def mass(row, node):
        return sum(row[leaf] for leaf, path in enumerate(paths) if node in path)

    value = np.zeros(len(codes))
    for i, code in enumerate(codes):
        path = paths[code]
        for up, (node, parent) in enumerate(pairwise(path)):
            depth = len(path) - 1 - up
            value[i] -= np.exp(-alpha * (depth - 1)) * np.log(mass(proba[i], node) / mass(proba[i], parent))
    return value


def _minimiser(loss, eta):
    """Probabilities at the minimum of the expected loss of a population."""
    targets = np.eye(len(eta))

    def objective(z):
        value, slope = loss.value_and_derivative(np.tile(z, (len(eta), 1)), targets)
        return eta @ value, eta @ slope

    found = minimize(objective, np.zeros(len(eta)), jac=True, method="BFGS", options={"gtol": 1e-9})
    return softmax(found.x)


@pytest.mark.parametrize("check", testing.class_loss_checks(), ids=lambda check: check.__name__)
@pytest.mark.parametrize(
    "loss", [WLFLoss(), HXELoss(), *(HXELoss(p, a) for p in TREES.values() for a in (0.0, 0.7))], ids=str
)
def test_losses_keep_what_every_class_loss_does(loss, check):
    if check.__name__ == "check_class_loss_is_finite" and isinstance(loss, HXELoss) and loss.parents is not None:
        loss = HXELoss([3, 3, 4, 4, -1], loss.alpha)  # it has three classes
    check(loss)


@pytest.mark.parametrize("check", testing.class_loss_checks(), ids=lambda check: check.__name__)
def test_weights_keep_what_every_class_loss_does(check):
    check(
        WLFLoss(WEIGHTS[:3, :3] / WEIGHTS[:3, :3].sum(axis=1, keepdims=True) if "finite" in check.__name__ else WEIGHTS)
    )


@pytest.mark.parametrize("seed", range(3))
def test_the_minimum_of_weighted_labels_is_the_mixture_of_their_rows(seed):
    eta = np.random.default_rng(seed).dirichlet(np.ones(4))
    np.testing.assert_allclose(_minimiser(WLFLoss(WEIGHTS), eta), eta @ WEIGHTS, atol=1e-6)


def test_weights_are_rows_of_the_true_class():
    logits, codes = _data()
    value, _ = WLFLoss(WEIGHTS).value_and_derivative(logits, codes)
    np.testing.assert_allclose(value, -(WEIGHTS[codes] * log_softmax(logits, axis=1)).sum(axis=1), rtol=1e-12)


def test_soft_targets_mix_rows_of_weights():
    logits, _ = _data()
    shares = np.random.default_rng(1).dirichlet(np.ones(4), 9)
    value, slope = WLFLoss(WEIGHTS).value_and_derivative(logits, shares)
    np.testing.assert_allclose(value, -(shares @ WEIGHTS * log_softmax(logits, axis=1)).sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose(slope, softmax(logits, axis=1) - shares @ WEIGHTS, atol=1e-12)


def test_strength_mixes_weights_with_labels():
    logits, codes = _data()
    strength = np.linspace(0, 1, 9)
    value, slope = WLFLoss(WEIGHTS).value_and_derivative(logits, codes, strength)
    mixed = (1 - strength[:, None]) * np.eye(4)[codes] + strength[:, None] * WEIGHTS[codes]
    np.testing.assert_allclose(value, -(mixed * log_softmax(logits, axis=1)).sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose(slope, softmax(logits, axis=1) - mixed, atol=1e-12)


@pytest.mark.parametrize("alpha", [0.0, 0.4, 2.0])
@pytest.mark.parametrize("name", TREES)
def test_hierarchical_cross_entropy_is_a_sum_over_steps(name, alpha):
    logits, codes = _data()
    value, _ = HXELoss(TREES[name], alpha).value_and_derivative(logits, codes)
    np.testing.assert_allclose(value, _by_conditionals(TREES[name], alpha, logits, codes), rtol=1e-10)


@pytest.mark.parametrize("seed", range(4))
def test_hierarchical_cross_entropy_on_random_trees(seed):
    parents = _random_parents(7, seed)
    logits, codes = _data(n_classes=7, seed=seed)
    value, slope = HXELoss(parents, 0.6).value_and_derivative(logits, codes)
    np.testing.assert_allclose(value, _by_conditionals(parents, 0.6, logits, codes), rtol=1e-10)
    for k in range(7):
        step = 1e-6 * np.eye(7)[k]
        rise = _by_conditionals(parents, 0.6, logits + step, codes) - _by_conditionals(
            parents, 0.6, logits - step, codes
        )
        np.testing.assert_allclose(slope[:, k], rise / 2e-6, atol=1e-8)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.5])
@pytest.mark.parametrize("seed", range(3))
def test_hierarchical_cross_entropy_is_proper(alpha, seed):
    eta = np.random.default_rng(seed).dirichlet(np.ones(6))
    np.testing.assert_allclose(_minimiser(HXELoss(_random_parents(6, seed), alpha), eta), eta, atol=1e-5)


@pytest.mark.parametrize("name", TREES)
def test_without_alpha_every_tree_is_plain_cross_entropy(name):
    logits, codes = _data()
    for mine, plain in zip(
        HXELoss(TREES[name]).value_and_derivative(logits, codes),
        SoftmaxLoss().value_and_derivative(logits, codes),
        strict=True,
    ):
        np.testing.assert_allclose(mine, plain, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("alpha", [0.3, 5.0])
def test_without_inner_nodes_alpha_does_not_matter(alpha):
    logits, codes = _data()
    value, _ = HXELoss(TREES["flat"], alpha).value_and_derivative(logits, codes)
    np.testing.assert_allclose(value, SoftmaxLoss().value_and_derivative(logits, codes)[0], rtol=1e-12)


def test_nodes_with_one_child_only_make_steps_below_them_deeper():
    logits, codes = _data()
    one = HXELoss([4, 4, 5, 5, 6, 6, -1], 0.5).value_and_derivative(logits, codes)[0]
    longer = HXELoss([4, 4, 5, 5, 6, 7, 7, -1], 0.5).value_and_derivative(logits, codes)[0]
    right = codes >= 2
    np.testing.assert_allclose(longer[right], one[right], rtol=1e-12)
    assert (longer[~right] < one[~right]).all()


@pytest.mark.parametrize("kind", ["wlf", "hxe"])
def test_the_order_of_the_classes_does_not_matter(kind):
    logits, codes = _data()
    order = np.array([2, 0, 3, 1])
    if kind == "wlf":
        one, other = WLFLoss(WEIGHTS), WLFLoss(WEIGHTS[np.ix_(order, order)])
    else:
        parents = np.array(TREES["chain"])
        one, other = HXELoss(parents, 0.8), HXELoss(np.concatenate([parents[:4][order], parents[4:]]), 0.8)
    value, slope = one.value_and_derivative(logits, codes)
    moved = other.value_and_derivative(logits[:, order], np.argsort(order)[codes])
    np.testing.assert_allclose(moved[0], value, rtol=1e-12)
    np.testing.assert_allclose(moved[1], slope[:, order], atol=1e-14)


@pytest.mark.parametrize(
    "loss", [WLFLoss(WEIGHTS), HXELoss(TREES["chain"], 0.8), HXELoss()], ids=["wlf", "hxe", "flat"]
)
def test_soft_targets_are_linear(loss):
    logits, _ = _data()
    shares = np.random.default_rng(1).dirichlet(np.ones(4), 9)
    value, slope = loss.value_and_derivative(logits, shares)
    each = [loss.value_and_derivative(logits, np.full(9, k)) for k in range(4)]
    np.testing.assert_allclose(value, sum(shares[:, k] * each[k][0] for k in range(4)), rtol=1e-10)
    np.testing.assert_allclose(slope, sum(shares[:, [k]] * each[k][1] for k in range(4)), atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("targets", ["codes", "shares"])
@pytest.mark.parametrize("loss", [WLFLoss(WEIGHTS), HXELoss(TREES["single"], 0.8)], ids=["wlf", "hxe"])
def test_torch_has_the_same_values_and_gradients(loss, targets, dtype):
    torch = pytest.importorskip("torch")
    logits, codes = _data()
    y = codes if targets == "codes" else np.random.default_rng(1).dirichlet(np.ones(4), 9)
    value, slope = loss.value_and_derivative(logits, y)
    z = torch.tensor(logits, dtype=getattr(torch, dtype), requires_grad=True)
    t = torch.tensor(y) if targets == "codes" else torch.tensor(y, dtype=z.dtype)
    found, derivative = loss.value_and_derivative(z, t)
    found.sum().backward()
    assert found.dtype == derivative.dtype == z.dtype
    rtol = 1e-4 if dtype == "float32" else 1e-11
    np.testing.assert_allclose(found.detach().numpy(), value, rtol=rtol)
    np.testing.assert_allclose(derivative.detach().numpy(), slope, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(z.grad.numpy(), slope, rtol=rtol, atol=rtol)


def test_hierarchical_losses_of_certain_rows_are_finite():
    logits = np.array([[800.0, 0.0, -800.0, 0.0], [0.0, 0.0, 0.0, 1e4]])
    value, slope = HXELoss(TREES["chain"], 0.5).value_and_derivative(logits, np.array([2, 3]))
    assert np.isfinite(value).all()
    assert np.isfinite(slope).all()
    assert value[0] > 700
    assert value[1] == pytest.approx(0, abs=1e-12)


def test_trees_of_semantics_fit():
    semantics = ClassSemantics.cifar10()
    loss = HXELoss(semantics.tree.parents, 0.2)
    logits, codes = _data(n_classes=10)
    expected = _by_conditionals(semantics.tree.parents, 0.2, logits, codes)
    np.testing.assert_allclose(loss.value_and_derivative(logits, codes)[0], expected, rtol=1e-10)


@pytest.mark.parametrize(
    "weights",
    [
        [[0.5, 0.6], [0.5, 0.5]],
        [[1.5, -0.5], [0.0, 1.0]],
        [[np.nan, 1.0], [0.0, 1.0]],
        [[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]],
        [0.5, 0.5],
        np.ones((2, 2)),
    ],
    ids=str,
)
def test_weights_that_are_no_soft_labels_are_refused(weights):
    with pytest.raises(ValueError, match="weights must be a square matrix, not negative, whose rows sum to one"):
        WLFLoss(weights)


@pytest.mark.parametrize(
    "parents",
    [
        [2, 2, 2],  # no root
        [2, 2, -1, -1],  # two roots
        [-1, 0, 0],  # classes are not the first
        [[2, 2, -1]],
    ],
    ids=str,
)
def test_parents_that_are_no_tree_are_refused(parents):
    with pytest.raises(ValueError, match="parents"):
        HXELoss(parents)


def test_parents_in_a_circle_are_refused():
    with pytest.raises(ValueError, match="parents go in a circle"):
        HXELoss([3, 3, 5, 4, 3, -1])


@pytest.mark.parametrize("alpha", [-0.1, np.nan, "1", None, True])
def test_an_alpha_that_is_none_is_refused(alpha):
    with pytest.raises(ValueError, match="alpha must be a number at least 0"):
        HXELoss(TREES["flat"], alpha)


@pytest.mark.parametrize(
    ("loss", "what"), [(WLFLoss(WEIGHTS), "4 rows of weights"), (HXELoss(TREES["pairs"]), "4 classes of the tree")]
)
@pytest.mark.parametrize("n_classes", [3, 5])
def test_as_many_logits_as_classes(loss, what, n_classes):
    with pytest.raises(ValueError, match=f"logits must have a column for each of the {what}; got {n_classes}"):
        loss.value_and_derivative(np.zeros((2, n_classes)), np.array([0, 1]))


@pytest.mark.parametrize("loss", [WLFLoss(WEIGHTS), HXELoss(TREES["pairs"], 1.0)], ids=["wlf", "hxe"])
@pytest.mark.parametrize("strength", [np.ones(3), np.ones((2, 1))], ids=["many", "column"])
def test_one_strength_a_sample(loss, strength):
    with pytest.raises(ValueError, match="strength must have one entry a sample"):
        loss.value_and_derivative(np.zeros((2, 4)), np.array([0, 1]), strength)

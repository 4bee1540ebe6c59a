"""Losses of a classifier that may abstain: numbers by hand, the derived optima, and what public ports get wrong."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit, softmax

from abstain import testing
from abstain.losses import (
    EntropyTerm,
    GamblersLoss,
    SelectiveLoss,
    SelectiveNetLoss,
    SelfAdaptiveLoss,
    SYNCLoss,
)
from abstain.losses.selectivenet import RISKS
from abstain.losses.sync import HEADS, MODES, solve_gamma

P = np.log([[0.9, 0.1], [0.6, 0.4]])  # logits of two samples
CODES = np.array([0, 1])
CE = -np.log([0.9, 0.4])
HALF = np.zeros(2)  # selectors of one half
TABLE = [
    (SelectiveNetLoss(coverage=0.5, alpha=1.0), HALF, CE.mean()),
    (SelectiveNetLoss(coverage=0.5, alpha=1.0, normalise=False), HALF, CE.mean() / 2),
    (SelectiveNetLoss(coverage=0.7, alpha=0.5, lam=10), HALF, 0.5 * (CE.mean() + 10 * 0.04)),
    (SelectiveNetLoss(coverage=0.5, alpha=1.0), logit([0.75, 0.25]), 0.75 * CE[0] + 0.25 * CE[1]),
    (SelectiveNetLoss(coverage=0.5, alpha=1.0, risk="error"), logit([0.75, 0.25]), 0.25),
    (SelectiveNetLoss(coverage=0.5, alpha=1.0, risk="brier"), HALF, (0.02 + 0.72) / 2),
    (SYNCLoss(coverage=0.5, alpha=1.0, beta=0.5, gamma=1.0), HALF, CE.mean() + 0.5 * np.log(2)),
    (SYNCLoss(coverage=0.5, alpha=1.0, beta=2.0, gamma=2.0, mode="mse"), HALF, CE.mean() + 0.31**2 + 0.14**2),
    (SYNCLoss(coverage=0.1, alpha=1.0, gamma=1.0, mode="weight"), HALF, (0.9 * CE[0] + 0.6 * CE[1]) / 1.5),
    (
        SYNCLoss(coverage=0.5, alpha=1.0, beta=1.0, gamma=1.0, mode="mse", chance_correction=True),
        HALF,
        CE.mean() + (0.3**2 + 0.3**2) / 2,
    ),
    (GamblersLoss(reward=1.25), np.log([1.0, 1.0]), -np.mean(np.log([0.45 + 0.4, 0.2 + 0.4]))),
    (GamblersLoss(reward=1.5), np.log([3.0, 1.0]), -np.mean(np.log([0.225 + 0.5, 0.2 + 1 / 3]))),
    (SelfAdaptiveLoss(), np.log([1.0, 1.0]), -np.mean(np.log([0.45, 0.2]))),
    (SelfAdaptiveLoss(), np.log([3.0, 1.0]), -np.mean(np.log([0.225, 0.2]))),
]


@pytest.mark.parametrize(("loss", "select", "expected"), TABLE, ids=repr)
def test_value_by_hand(loss, select, expected):
    np.testing.assert_allclose(loss.value(P, select, CODES), expected, rtol=1e-9)


def test_every_selective_loss_has_a_table_and_keeps_the_protocol():
    for kind in testing.all_losses(SelectiveLoss):
        assert sum(type(row[0]) is kind for row in TABLE) >= 2
        assert isinstance(kind(), SelectiveLoss)


def test_auxiliary_head():
    loss = SelectiveNetLoss(coverage=0.5, alpha=0.3)
    expected = 0.3 * CE.mean() + 0.7 * np.log(2)
    np.testing.assert_allclose(loss.value(P, HALF, CODES, auxiliary=np.zeros((2, 2))), expected)
    assert loss.value(P, HALF, CODES) == pytest.approx(0.3 * CE.mean())


def scalar_optimum(ell, tau, prior, alpha, beta, mode):
    """Minimise what one sample adds to the objective, over how far it is accepted."""

    def cost(g):
        match = -prior * np.log(g) - (1 - prior) * np.log1p(-g) if mode == "bce" else (g - prior) ** 2
        return alpha * (ell - tau) * g + beta * match

    return minimize_scalar(cost, bounds=(1e-9, 1 - 1e-9), method="bounded", options={"xatol": 1e-12}).x


def closed_form(ell, tau, prior, alpha, beta, mode):
    kappa = alpha * (ell - tau) / beta
    if mode == "mse":
        return np.clip(prior - kappa / 2, 0, 1)
    return ((kappa + 1) - np.sqrt((kappa + 1) ** 2 - 4 * kappa * prior)) / (2 * kappa)


@pytest.mark.parametrize(
    ("ell", "tau", "prior", "beta", "expected"),
    [(1.5, 0.6, 0.9, 0.5, 0.717624), (0.1, 0.6, 0.9, 0.5, 0.931782), (3.0, 0.5, 0.4, 1.0, 0.2)],
)
def test_closed_form_optimum_of_sync(ell, tau, prior, beta, expected):
    """Reference values, and a scalar minimiser."""
    optimum = closed_form(ell, tau, prior, 0.5, beta, "bce")
    np.testing.assert_allclose(optimum, expected, atol=1e-6)
    np.testing.assert_allclose(scalar_optimum(ell, tau, prior, 0.5, beta, "bce"), expected, atol=1e-5)
    by_mse = closed_form(ell, tau, prior, 0.5, beta, "mse")
    np.testing.assert_allclose(scalar_optimum(ell, tau, prior, 0.5, beta, "mse"), by_mse, atol=1e-5)


def numeric_gradient(function, x, step=1e-6):
    shifts = step * np.eye(len(x))
    return np.array([(function(x + s) - function(x - s)) / (2 * step) for s in shifts])


@pytest.mark.parametrize("mode", ["bce", "mse"])
def test_minimising_the_sync_loss_reaches_the_closed_form(rng, mode):
    """Over free selectors of a batch, the optimum obeys the formula with the border that the batch itself implies."""
    from scipy.optimize import minimize

    logits, codes = rng.normal(scale=2, size=(40, 3)), rng.integers(3, size=40)
    loss = SYNCLoss(coverage=0.8, mode=mode, gamma=1.0, beta=0.5)
    fit = minimize(
        lambda g: loss.value(logits, logit(g), codes), np.full(40, 0.5), bounds=[(1e-6, 1 - 1e-6)] * 40,
        options={"ftol": 1e-15, "gtol": 1e-9, "maxfun": 100_000},
    )  # fmt: skip
    accept, ell = fit.x, loss.parts(logits, logit(fit.x), codes)["loss"]
    covered, risk = accept.mean(), (ell * accept).mean() / accept.mean()
    # d risk / d g = (ell - risk) / (n covered); the border of the normalised objective
    tau = risk + 2 * loss.lam * covered * max(loss.coverage - covered, 0)
    expected = closed_form(ell, tau, loss.prior(logits), loss.alpha / covered, loss.beta, mode)
    inside = (expected > 0.01) & (expected < 0.99)
    np.testing.assert_allclose(accept[inside], expected[inside], atol=2e-3)


def test_no_beta_is_selectivenet_and_much_beta_is_softmax_response(rng):
    logits, codes, select = rng.normal(size=(30, 4)), rng.integers(4, size=30), rng.normal(size=30)
    for mode in ("bce", "mse"):
        plain = SelectiveNetLoss().value(logits, select, codes)
        assert SYNCLoss(beta=0.0, mode=mode).value(logits, select, codes) == plain
    drawn, prior = SYNCLoss(beta=1e6), SYNCLoss().prior(logits)
    slope = numeric_gradient(lambda u: drawn.value(logits, u, codes), logit(prior), step=1e-4)
    np.testing.assert_allclose(slope / 1e6, 0, atol=1e-4)


@pytest.mark.parametrize("risk", RISKS)
@pytest.mark.parametrize("normalise", [True, False])
def test_the_risk_moves_the_selectors_apart(rng, risk, normalise):
    """A port that averages the loss first gives every selector the same gradient through the risk."""
    logits, codes = rng.normal(scale=2, size=(12, 3)), rng.integers(3, size=12)
    loss = SelectiveNetLoss(coverage=0.5, lam=0.0, normalise=normalise, risk=risk)
    slope = numeric_gradient(lambda u: loss.value(logits, u, codes), np.zeros(12))
    assert np.ptp(slope) > 1e-3
    ell = loss.parts(logits, np.zeros(12), codes)["loss"]
    assert np.corrcoef(slope, ell)[0, 1] > 0.999


@pytest.mark.parametrize("normalise", [True, False])
def test_equilibrium_of_the_two_risks(normalise):
    """Bang-bang optimum over a uniform loss on [0, 4]: the soft coverage falls short as derived."""
    ell, c, lam = np.linspace(0, 4, 40_001), 0.6, 32.0

    def cost(covered):  # accept the smallest losses
        risk = ell[: max(int(covered * ell.size), 1)].mean() * (1 if normalise else covered)
        return risk + lam * max(c - covered, 0) ** 2

    covered = minimize_scalar(cost, bounds=(0.3, 0.9), method="bounded", options={"xatol": 1e-6}).x
    tau = 4 * covered
    short = (tau - tau / 2) / (2 * lam * covered) if normalise else tau / (2 * lam)
    np.testing.assert_allclose(c - covered, short, atol=1e-3)
    # and the loss itself is that cost, for hard selectors
    logits = np.column_stack([-np.log(np.expm1(ell[::400] + 1e-9)), np.zeros(101)])  # cross-entropy ell
    accepted = np.arange(101) < 60
    loss = SelectiveNetLoss(coverage=c, lam=lam, alpha=1.0, normalise=normalise)
    value = loss.value(logits, np.where(accepted, 40.0, -40.0), np.zeros(101, dtype=int))
    risk = ell[::400][accepted].sum() / (60 if normalise else 101)
    np.testing.assert_allclose(value, risk + lam * max(c - 60 / 101, 0) ** 2, rtol=1e-6)


@pytest.mark.parametrize("coverage", [0.2, 0.5, 0.8, 0.95])
def test_gamma_solves_its_equation(rng, coverage):
    response = softmax(rng.normal(scale=2, size=(500, 6)), axis=1).max(axis=1)
    gamma = solve_gamma(np.log(response), coverage)
    np.testing.assert_allclose((response**gamma).mean(), coverage, rtol=1e-9)
    logits = np.log(softmax(rng.normal(scale=2, size=(500, 6)), axis=1))
    np.testing.assert_allclose(SYNCLoss(coverage=coverage).prior(logits).mean(), coverage, rtol=1e-9)
    corrected = SYNCLoss(coverage=coverage, chance_correction=True).prior(logits)
    np.testing.assert_allclose(corrected.mean(), coverage, rtol=1e-6)


def test_memory_takes_the_noise_out_of_the_penalty(rng):
    """With a memory, the mean gradient of small batches is that of all samples; without, the penalty is too large."""
    n, size = 4096, 16
    select = rng.normal(loc=0.4, size=n)
    accept = expit(select)
    loss = SelectiveNetLoss(coverage=float(accept.mean()), alpha=1.0)
    logits, codes = np.zeros((n, 2)), np.zeros(n, dtype=int)
    whole = loss.value(logits, select, codes)
    batches = rng.permutation(n).reshape(-1, size)
    plain = np.mean([loss.value(logits[b], select[b], codes[b]) for b in batches])
    memory = [loss.value(logits[b], select[b], codes[b], memory=(accept[b], accept.mean())) for b in batches]
    np.testing.assert_allclose(np.mean(memory), whole, rtol=1e-9)
    assert plain - whole > 0.5 * loss.lam * accept.var() / size / 2


def test_self_adaptive_targets_of_true_classes_are_those_of_all_classes(rng):
    """One number a sample follows what the paper keeps in n x K."""
    logits, codes = rng.normal(size=(20, 5)), rng.integers(5, size=20)
    table, rows, loss = np.eye(5)[codes], np.full(20, np.nan), SelfAdaptiveLoss(momentum=0.8)
    for _ in range(3):
        logits = logits + rng.normal(size=(20, 5))
        table = 0.8 * table + 0.2 * softmax(logits, axis=1)
        rows = loss.remember(logits, np.zeros(20), codes, rows)
        np.testing.assert_allclose(rows, table[np.arange(20), codes])
    select = rng.normal(size=20)
    proba = softmax(np.column_stack([logits, select]), axis=1)
    expected = -(rows * np.log(proba[np.arange(20), codes]) + (1 - rows) * np.log(proba[:, -1])).mean()
    np.testing.assert_allclose(loss.value(logits, select, codes, memory=(rows, 0.0)), expected)


@pytest.mark.parametrize("loss", [GamblersLoss(), SelfAdaptiveLoss()])
def test_log_odds_of_the_last_logit(rng, loss):
    logits, select = rng.normal(size=(9, 3)), rng.normal(size=9)
    abstain = softmax(np.column_stack([logits, select]), axis=1)[:, -1]
    np.testing.assert_allclose(loss.log_odds(logits, select), logit(1 - abstain))
    assert np.isfinite(loss.log_odds(logits * 1e4, select)).all()


def test_a_gambler_bets_where_the_odds_are_good():
    """Of given probabilities, the stake is kept whole exactly where the sum of squares is at most 1 / reward."""
    grid = np.linspace(-20, 20, 4001)
    for p, others in ((0.3, 2), (0.6, 10), (0.69, 2), (0.75, 2), (0.95, 2)):
        proba = np.append(p, np.full(others, (1 - p) / others))
        logits = np.repeat(np.log(proba)[None], grid.size, axis=0)
        expected = sum(
            q * GamblersLoss(reward=2.0).parts(logits, grid, np.full(grid.size, k))["loss"] for k, q in enumerate(proba)
        )
        assert bool(grid[expected.argmin()] == 20) is bool((proba**2).sum() <= 0.5)


def test_the_released_entropy_term_is_not_an_entropy(rng):
    logits = rng.normal(size=(10, 4))
    proba = softmax(logits, axis=1)
    np.testing.assert_allclose(EntropyTerm().parts(logits), -(proba * np.log(proba)).sum(axis=1))
    np.testing.assert_allclose(EntropyTerm().parts(logits + 50), EntropyTerm().parts(logits))
    released = EntropyTerm(form="released")
    np.testing.assert_allclose(released.parts(logits), -(proba * logits).sum(axis=1))
    np.testing.assert_allclose(released.parts(logits + 50), released.parts(logits) - 50)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: SelectiveNetLoss(coverage=0), "coverage"),
        (lambda: SelectiveNetLoss(lam=-1), "lam"),
        (lambda: SelectiveNetLoss(risk="hinge"), "risk"),
        (lambda: SYNCLoss(beta=-1), "beta"),
        (lambda: SYNCLoss(gamma=0), "gamma"),
        (lambda: SYNCLoss(mode="kl"), "mode"),
        (lambda: SYNCLoss(prior_head="h"), "prior_head"),
        (lambda: GamblersLoss(reward=1.0), "reward"),
        (lambda: GamblersLoss(reward=2.0).value(P, HALF, CODES), "number of classes"),
        (lambda: SYNCLoss(mode="weight"), "gamma"),
        (lambda: SelectiveNetLoss(lam="a"), "lam"),
        (lambda: SelectiveNetLoss(coverage=True), "coverage"),
        (lambda: SelfAdaptiveLoss(momentum=2), "momentum"),
        (lambda: EntropyTerm(form="true"), "form"),
        (lambda: SYNCLoss(prior_head="auxiliary").value(P, HALF, CODES), "prior_head"),
    ],
)
def test_errors_name_the_parameter(make, name):
    with pytest.raises(ValueError, match=name):
        make()


VARIANTS = [
    SelectiveNetLoss(normalise=False, risk="brier"),
    *(
        SYNCLoss(mode=mode, gamma=gamma, prior_head=head, detach_prior=d)
        for mode, gamma in zip(MODES, ("auto", 2.0, 0.5), strict=True)
        for head in HEADS
        for d in (True, False)
    ),
    SYNCLoss(gamma=2.0, chance_correction=True),
    GamblersLoss(reward=3.5),
    SelfAdaptiveLoss(momentum=0.5),
]


@pytest.mark.torch
@pytest.mark.parametrize("loss", VARIANTS, ids=repr)
def test_torch_agrees_and_its_gradient_is_right(rng, loss):
    import torch

    logits, select, codes = rng.normal(size=(10, 4)), rng.normal(size=10), rng.integers(4, size=10)
    auxiliary, memory = rng.normal(size=(10, 4)), (rng.uniform(size=10), 0.4)

    def value(z, u, h):
        kept = (torch.tensor(memory[0]), memory[1])
        return loss.value(z, u, torch.tensor(codes), auxiliary=h, memory=kept)

    inputs = [torch.tensor(a, requires_grad=True) for a in (logits, select, auxiliary)]
    mine = loss.value(logits, select, codes, auxiliary=auxiliary, memory=memory)
    np.testing.assert_allclose(float(value(*inputs).detach()), mine, rtol=1e-12)
    moves_prior = getattr(loss, "detach_prior", False)  # a detached prior is a constant of the gradient, not of values
    if not moves_prior and getattr(loss, "gamma", None) != "auto":
        torch.autograd.gradcheck(value, inputs)
    slope = torch.autograd.grad(value(*inputs), inputs[1])[0]
    numeric = numeric_gradient(lambda u: loss.value(logits, u, codes, auxiliary=auxiliary, memory=memory), select)
    np.testing.assert_allclose(slope.numpy(), numeric, atol=1e-7)


@pytest.mark.torch
def test_detached_prior_sends_no_gradient(rng):
    import torch

    logits = torch.tensor(rng.normal(size=(6, 3)), requires_grad=True)
    assert not SYNCLoss().prior(logits).requires_grad
    assert SYNCLoss(detach_prior=False).prior(logits).requires_grad


@pytest.mark.parametrize(("n_classes", "reward"), [(2, 1.5), (3, 2.0), (10, 2.0)])
def test_a_gambler_is_paid_two_and_less_for_two_classes(n_classes, reward, rng):
    logits, select, codes = rng.normal(size=(6, n_classes)), rng.normal(size=6), rng.integers(n_classes, size=6)
    expected = GamblersLoss(reward=reward).parts(logits, select, codes)["loss"]
    np.testing.assert_array_equal(GamblersLoss().parts(logits, select, codes)["loss"], expected)


def test_gamma_stays_between_a_thousandth_and_a_thousand():
    """Where the network is certain no power is large enough, and where it is lost none is small enough."""
    assert solve_gamma(np.zeros(5), 0.8) == pytest.approx(1e3)
    assert solve_gamma(np.full(5, -1e4), 0.8) == pytest.approx(1e-3)

"""Procedures against exact binomials, and their violation rates in simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binom

from abstain.datasets import known_risk, make_known_risk
from abstain.selective import certify

PROCEDURES = [certify.fixed_sequence, certify.sgr, certify.bonferroni]


def test_reference_bounds():
    for (k, m, delta), expected in {
        (0, 59, 0.05): 0.04951, (0, 58, 0.05): 0.05034, (3, 200, 0.05): 0.03831, (1, 49, 0.05): 0.09319
    }.items():  # fmt: skip
        assert certify.upper_bound(k, m, delta) == pytest.approx(expected, abs=5e-6)
    assert certify.p_values(np.array([3]), np.array([200]), 0.05) == pytest.approx([0.00905], abs=5e-6)
    assert [certify.smallest_sample(r, d) for r, d in [(0.05, 0.05), (0.04, 0.1), (0.01, 0.05)]] == [59, 57, 299]
    assert certify.upper_bound(29, 100, 0.05) == pytest.approx(beta.ppf(0.95, 30, 71))


@given(st.integers(0, 300), st.integers(0, 300), st.floats(0.001, 0.4), st.floats(0.001, 0.45))
@settings(max_examples=200, deadline=None)
def test_test_and_bound_make_the_same_decision(errors, spare, risk, delta):
    accepted = errors + spare
    p = float(certify.p_values(np.array([errors]), np.array([accepted]), risk)[0])
    if accepted:
        bound = float(certify.upper_bound(errors, accepted, delta))
        if abs(bound - risk) > 1e-9:
            assert (p <= delta) == (bound <= risk)
    if p < 1:
        assert p == pytest.approx(binom.cdf(errors, accepted, risk), rel=1e-8)
    else:
        assert accepted == 0 or binom.cdf(errors, accepted, risk) > 0.45 or spare == 0


def test_candidates_count_by_hand():
    table = certify.candidates(np.array([3.0, 2, 2, 1]), np.array([True, False, True, False]))
    assert table.threshold.tolist() == [3, 2, 1]
    assert table.accepted[:, 0].tolist() == [1, 3, 4]
    assert table.errors[:, 0].tolist() == [0, 1, 2]
    # a lone sample at the boundary is left out; in a tie a correct one is
    assert table.tested[:, 0].tolist() == [0, 2, 3]
    assert table.failed[:, 0].tolist() == [0, 1, 1]


def test_candidates_by_group():
    groups = np.array(["a", "b", "a", "b"])
    table = certify.candidates(np.array([4.0, 3, 2, 1]), np.array([True, False, True, True]), groups)
    assert table.accepted.tolist() == [[1, 0], [1, 1], [2, 1], [2, 2]]
    assert table.errors.tolist() == [[0, 0], [0, 1], [0, 1], [0, 1]]


def test_groups_and_ties_do_not_depend_on_row_order():
    rng = np.random.default_rng(0)
    for _ in range(60):
        score, correct, groups = rng.integers(0, 9, 300).astype(float), rng.random(300) < 0.97, rng.integers(0, 2, 300)
        order = rng.permutation(300)
        tables = [certify.candidates(score[o], correct[o], groups[o]) for o in (np.arange(300), order)]
        for one, other in zip(*tables, strict=True):
            np.testing.assert_array_equal(one, other)


def test_extreme_levels():
    assert certify.upper_bound(0, 10_000, 1e-20) == pytest.approx(1 - 1e-20 ** (1 / 10_000), rel=1e-6)
    assert certify.smallest_sample(1e-310, 0.05) > 10**18


@pytest.mark.parametrize("levels", [2, 4, 1024])
def test_sgr_can_accept_everything(levels):
    score = np.arange(2048) % levels
    table = certify.candidates(score.astype(float), np.ones(2048, dtype=bool))
    assert certify.sgr(table, 0.05, 0.05).position == levels - 1


def test_data_that_need_no_abstention_are_accepted_whole():
    """Risk 0.03 everywhere, target 0.05: the start at all of the data certifies it."""
    accepted = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        table = certify.candidates(rng.random(1000), rng.random(1000) > 0.03)
        choice = certify.fixed_sequence(table, 0.05, 0.05)
        accepted.append(0 if choice is None else table.accepted[choice.position, 0] / 1000)
    assert np.mean(accepted) > 0.7


def rates(procedure, risk, delta, draw, true_risk, repeats):
    violated, coverage = 0, []
    for seed in range(repeats):
        score, correct = draw(seed)
        table = certify.candidates(score, correct)
        choice = procedure(table, risk, delta)
        threshold = np.inf if choice is None else table.threshold[choice.position]
        violated += choice is not None and true_risk(threshold) > risk + 1e-12
        coverage.append(0.0 if choice is None else table.accepted[choice.position, 0] / len(score))
    return violated / repeats, float(np.mean(coverage))


# three standard errors above delta: a valid procedure fails this once in a thousand
LIMIT = 0.1 + 3 * np.sqrt(0.09 / 400)


@pytest.mark.parametrize("procedure", PROCEDURES, ids=lambda p: p.__name__)
@pytest.mark.parametrize(
    ("scale", "power", "risk", "n"), [(0.6, 2, 0.05, 1000), (0.3, 1, 0.05, 3000), (0.2, 4, 0.01, 2000)]
)
def test_violations_stay_below_delta(procedure, scale, power, risk, n):
    rate, _ = rates(
        procedure, risk, 0.1,
        lambda seed: make_known_risk(n, scale=scale, power=power, random_state=seed),
        lambda t: known_risk(t, scale=scale, power=power), 400,
    )  # fmt: skip
    assert rate <= LIMIT


@pytest.mark.parametrize("procedure", PROCEDURES, ids=lambda p: p.__name__)
def test_violations_stay_below_delta_with_atoms(procedure):
    """Six distinct scores; the risk of each threshold is known, and rises above the target in the middle."""
    levels, error = np.arange(6), np.array([0.3, 0.2, 0.12, 0.055, 0.03, 0.01])
    cumulative = np.cumsum(error[::-1]) / np.arange(1, 7)

    def draw(seed):
        rng = np.random.default_rng(seed)
        level = rng.integers(0, 6, 900)
        return levels[level].astype(float), rng.random(900) >= error[level]

    rate, coverage = rates(procedure, 0.05, 0.1, draw, lambda t: cumulative[5 - int(t)], 400)
    assert rate <= LIMIT
    assert coverage > 0.2


@pytest.mark.parametrize("procedure", PROCEDURES, ids=lambda p: p.__name__)
def test_violations_stay_below_delta_when_risk_is_not_monotone(procedure):
    """The very top is bad (a confident failure mode), then good, then bad."""

    def error(s):
        return np.where(s > 0.95, 0.15, np.where(s > 0.5, 0.01, 0.2))

    grid = np.linspace(0, 1, 20001)
    tail = np.cumsum(error(grid)[::-1]) / np.arange(1, grid.size + 1)

    def draw(seed):
        rng = np.random.default_rng(seed)
        score = rng.random(1500)
        return score, rng.random(1500) >= error(score)

    rate, coverage = rates(procedure, 0.05, 0.1, draw, lambda t: tail[::-1][np.searchsorted(grid, t)], 400)
    assert rate <= LIMIT
    if procedure is not certify.sgr:
        assert coverage > 0.15


def test_the_default_certifies_most():
    draw = lambda seed: make_known_risk(2000, random_state=seed)  # noqa: E731
    coverage = [rates(p, 0.05, 0.1, draw, known_risk, 60)[1] for p in PROCEDURES]
    assert coverage[0] > max(coverage[1:])


@pytest.mark.parametrize("procedure", PROCEDURES, ids=lambda p: p.__name__)
def test_a_perfect_score_is_certified_as_soon_as_there_are_enough_samples(procedure):
    score = np.arange(400.0)
    assert procedure(certify.candidates(score[:40], np.ones(40, dtype=bool)), 0.05, 0.05) is None
    choice = procedure(certify.candidates(score, np.ones(400, dtype=bool)), 0.05, 0.05)
    assert choice is not None
    assert certify.candidates(score, np.ones(400, dtype=bool)).accepted[choice.position, 0] >= 395


def test_every_group_is_held():
    """A rare bad group: without groups it is sacrificed, with groups the bound holds in it."""
    violations, sacrificed = 0, 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        n = 4000
        group = (rng.random(n) < 0.15).astype(int)
        score = rng.random(n)
        error = np.where(group == 1, 0.35, 0.1) * (1 - score)
        correct = rng.random(n) >= error
        for groups, name in ((None, "none"), (group, "both")):
            table = certify.candidates(score, correct, groups)
            choice = certify.fixed_sequence(table, 0.05, 0.1)
            coverage = 0 if choice is None else 1 - table.threshold[choice.position]
            bad = 0.35 * coverage / 2 > 0.05  # true risk of the rare group at this threshold
            violations += bad and name == "both"
            sacrificed += bad and name == "none"
    assert violations / 150 <= 0.1 + 3 * np.sqrt(0.09 / 150)
    assert sacrificed / 150 > 0.9


def test_reachable_risk_is_certifiable_and_nearly_smallest():
    score, correct = make_known_risk(300, random_state=0)
    table = certify.candidates(score, correct)
    assert certify.fixed_sequence(table, 0.005, 0.05) is None
    risk = certify.reachable_risk(certify.fixed_sequence, table, 0.005, 0.05)
    assert certify.fixed_sequence(table, risk, 0.05) is not None
    assert certify.fixed_sequence(table, 0.97 * risk, 0.05) is None


def test_nothing_is_reachable_when_all_is_wrong():
    table = certify.candidates(np.arange(50.0), np.zeros(50, dtype=bool))
    assert certify.reachable_risk(certify.fixed_sequence, table, 0.1, 0.05) == 1.0

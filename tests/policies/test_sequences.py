"""Procedures against exact binomials, and their violation rates in simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import made_events
from scipy.stats import beta, binom

from abstain.datasets import known_risk, make_known_risk
from abstain.policies.betting import Betting, ClusterBetting, mean_bound
from abstain.policies.binomial import Binomial, p_values, smallest_sample, upper_bound
from abstain.policies.candidates import candidates
from abstain.policies.sequences import Together, bonferroni, fixed_sequence, reachable_risk, sgr

PROCEDURES = [fixed_sequence, sgr, bonferroni]


def binomial(score, correct):
    """Regions of scores, and the exact test of them."""
    regions = candidates(np.asarray(score, dtype=float))
    return regions, Binomial(regions, made_events(1.0 - correct))


def test_reference_bounds():
    for (k, m, delta), expected in {
        (0, 59, 0.05): 0.04951, (0, 58, 0.05): 0.05034, (3, 200, 0.05): 0.03831, (1, 49, 0.05): 0.09319
    }.items():  # fmt: skip
        assert upper_bound(k, m, delta) == pytest.approx(expected, abs=5e-6)
    assert p_values(np.array([3]), np.array([200]), 0.05) == pytest.approx([0.00905], abs=5e-6)
    assert [smallest_sample(r, d) for r, d in [(0.05, 0.05), (0.04, 0.1), (0.01, 0.05)]] == [59, 57, 299]
    assert upper_bound(29, 100, 0.05) == pytest.approx(beta.ppf(0.95, 30, 71))


@given(st.integers(0, 300), st.integers(0, 300), st.floats(0.001, 0.4), st.floats(0.001, 0.45))
@settings(max_examples=200, deadline=None)
def test_test_and_bound_make_the_same_decision(errors, spare, risk, delta):
    accepted = errors + spare
    p = float(p_values(np.array([errors]), np.array([accepted]), risk)[0])
    if accepted:
        bound = float(upper_bound(errors, accepted, delta))
        if abs(bound - risk) > 1e-9:
            assert (p <= delta) == (bound <= risk)
    if p < 1:
        assert p == pytest.approx(binom.cdf(errors, accepted, risk), rel=1e-8)
    else:
        assert accepted == 0 or binom.cdf(errors, accepted, risk) > 0.45 or spare == 0


def test_right_rows_alone_have_the_chance_of_as_many():
    np.testing.assert_allclose(p_values(np.zeros(3, int), np.array([1, 2, 5]), 0.7), [0.3, 0.09, 0.3**5])


def test_candidates_count_by_hand():
    regions, test = binomial([3.0, 2, 2, 1], np.array([True, False, True, False]))
    assert regions.threshold.tolist() == [2.5, 1.5, -np.inf]
    assert test.accepted.tolist() == [1, 3, 4]
    assert test.lost.tolist() == [0, 1, 2]
    # one right sample is left out of the count; none where the border is a lone error, or all samples are accepted
    assert test.tested.tolist() == [0, 2, 4]
    assert binomial([3.0, 2, 1], np.array([True, False, True]))[1].tested.tolist() == [0, 2, 3]


def test_candidates_by_group():
    groups = np.array(["a", "b", "a", "b"])
    regions = candidates(np.array([4.0, 3, 2, 1]))
    tests = [
        Binomial(regions, made_events(np.array([0.0, 1, 0, 0])), np.flatnonzero(groups == name)) for name in ("a", "b")
    ]
    assert [test.accepted.tolist() for test in tests] == [[1, 1, 2, 2], [0, 1, 1, 2]]
    assert [test.lost.tolist() for test in tests] == [[0, 0, 0, 0], [0, 1, 1, 1]]
    assert Together(tests).size.tolist() == np.minimum(tests[0].size, tests[1].size).tolist()


def test_groups_are_as_large_together_as_the_smallest():
    regions, groups = candidates(np.arange(60.0)), np.arange(60) % 3 > 0
    tests = [Binomial(regions, made_events(np.zeros(60)), np.flatnonzero(groups == name)) for name in (True, False)]
    for order in (tests, tests[::-1]):
        assert Together(order).size.tolist() == tests[1].size.tolist() != tests[0].size.tolist()


def test_groups_and_ties_do_not_depend_on_row_order():
    rng = np.random.default_rng(0)
    for _ in range(60):
        score, correct, groups = rng.integers(0, 9, 300).astype(float), rng.random(300) < 0.97, rng.integers(0, 2, 300)
        found = []
        for order in (np.arange(300), rng.permutation(300)):
            regions = candidates(score[order])
            test = Binomial(
                regions, made_events(1.0 - correct[order]), np.flatnonzero(groups[order][regions.order] == 1)
            )
            found.append((regions.threshold, test.accepted, test.lost, test.tested))
        for one, other in zip(*found, strict=True):
            np.testing.assert_array_equal(one, other)


def test_extreme_levels():
    assert upper_bound(0, 10_000, 1e-20) == pytest.approx(1 - 1e-20 ** (1 / 10_000), rel=1e-6)
    assert smallest_sample(1e-310, 0.05) > 10**18


@pytest.mark.parametrize("levels", [2, 4, 1024])
def test_sgr_can_accept_everything(levels):
    score = np.arange(2048) % levels
    _, test = binomial(score, np.ones(2048))
    assert sgr(test, 0.05, 0.05).position == levels - 1


def test_data_that_need_no_abstention_are_accepted_whole():
    """Risk 0.03 everywhere, target 0.05: the start at all of the data certifies it."""
    accepted = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        _, test = binomial(rng.random(1000), rng.random(1000) > 0.03)
        choice = fixed_sequence(test, 0.05, 0.05)
        accepted.append(0 if choice is None else test.accepted[choice.position] / 1000)
    assert np.mean(accepted) > 0.7


def rates(procedure, risk, delta, draw, true_risk, repeats):
    violated, coverage = 0, []
    for seed in range(repeats):
        score, correct = draw(seed)
        regions, test = binomial(score, correct)
        choice = procedure(test, risk, delta)
        threshold = np.inf if choice is None else regions.threshold[choice.position]
        violated += choice is not None and true_risk(max(threshold, score.min())) > risk + 1e-12
        coverage.append(0.0 if choice is None else test.accepted[choice.position] / len(score))
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

    rate, coverage = rates(procedure, 0.05, 0.1, draw, lambda t: cumulative[5 - int(np.ceil(t))], 400)
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
    if procedure is not sgr:
        assert coverage > 0.15


def test_the_default_certifies_most():
    draw = lambda seed: make_known_risk(2000, random_state=seed)  # noqa: E731
    coverage = [rates(p, 0.05, 0.1, draw, known_risk, 60)[1] for p in PROCEDURES]
    assert coverage[0] > max(coverage[1:])


@pytest.mark.parametrize("procedure", PROCEDURES, ids=lambda p: p.__name__)
def test_a_perfect_score_is_certified_as_soon_as_there_are_enough_samples(procedure):
    score = np.arange(400.0)
    assert procedure(binomial(score[:40], np.ones(40))[1], 0.05, 0.05) is None
    _, test = binomial(score, np.ones(400))
    choice = procedure(test, 0.05, 0.05)
    assert choice is not None
    assert test.accepted[choice.position] >= 395


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
            regions = candidates(score)
            ranked = None if groups is None else groups[regions.order]
            members = [None] if groups is None else [np.flatnonzero(ranked == name) for name in (0, 1)]
            test = Together([Binomial(regions, made_events(1.0 - correct), rows) for rows in members])
            choice = fixed_sequence(test, 0.05, 0.1)
            coverage = 0 if choice is None else 1 - max(regions.threshold[choice.position], 0)
            bad = 0.35 * coverage / 2 > 0.05  # true risk of the rare group at this threshold
            violations += bad and name == "both"
            sacrificed += bad and name == "none"
    assert violations / 150 <= 0.1 + 3 * np.sqrt(0.09 / 150)
    assert sacrificed / 150 > 0.9


def test_reachable_risk_is_certifiable_and_nearly_smallest():
    _, test = binomial(*make_known_risk(300, random_state=0))
    assert fixed_sequence(test, 0.005, 0.05) is None
    risk = reachable_risk(fixed_sequence, test, 0.005, 0.05)
    assert fixed_sequence(test, risk, 0.05) is not None
    assert fixed_sequence(test, 0.97 * risk, 0.05) is None


def test_nothing_is_reachable_when_all_is_wrong():
    _, test = binomial(np.arange(50.0), np.zeros(50))
    assert reachable_risk(fixed_sequence, test, 0.1, 0.05) == 1.0


class OneAlone(Binomial):
    """A test that one region passes, whatever the losses, and no other."""

    passing = -1

    def p_values(self, at, risk):
        self.at = at
        return np.where(at == self.passing, 0.0, 1.0)


def levels(score, risk, delta):
    """Sizes of regions, which of them a fixed sequence looks at, and the level of each where all before it fail."""
    test = OneAlone(candidates(score), made_events(np.zeros(score.size)))
    fixed_sequence(test, risk, delta)
    owned = np.zeros(test.at.size)
    for i, region in enumerate(test.at):
        test.passing = region
        owned[i] = fixed_sequence(test, risk, delta).level
    return test.size, test.at, owned


def test_levels_of_starts_grow_with_the_data_and_add_up_to_delta():
    whole = 0.0
    for n in (60, 100, 200, 500, 1000, 3000, 100_000):
        size, at, owned = levels(np.arange(float(n)), 0.05, 0.1)
        assert owned.sum() == pytest.approx(0.1)
        assert at[-1] == n - 1
        assert owned[-1] >= whole
        whole = owned[-1]
        assert Binomial.smallest(0.05, 0.1) <= size[at[0]] <= size[at[owned > 0][0]]
        assert np.diff(at).max() <= n / 199 + 1  # so that a walk does not lose what a start hands on


def test_a_chain_starts_at_the_stricter_of_two_tied_regions_where_that_can_pass():
    _, at, owned = levels(np.repeat(np.arange(10.0), 100), 0.05, 0.1)
    # an eighth is 125 of 1000, between regions of 100 and 200; a quarter is 250, between 200 and 300
    assert at[owned > 0].tolist() == [0, 1, 4, 9]
    # of 200, a quarter lies between 40 and 60, and at its level 40 could not pass
    _, at, owned = levels(np.repeat(np.arange(10.0), 20), 0.05, 0.1)
    assert 1 not in at[owned > 0]
    assert owned.sum() == pytest.approx(0.1)


@pytest.mark.parametrize("risk", [0.05, 0.1])
def test_more_data_never_certify_less(risk):
    """Mean certified coverage, on the curve of the digest, does not fall beyond noise as the data grow."""
    previous = (0.0, 0.0)
    for n in (200, 400, 700, 1000, 2000, 5000):
        found = []
        for seed in range(60):
            rng = np.random.default_rng(seed)
            score = rng.beta(5, 1.2, n)
            _, test = binomial(score, rng.random(n) < score**1.3)
            choice = fixed_sequence(test, risk, 0.1)
            found.append(0.0 if choice is None else test.accepted[choice.position] / n)
        mean, error = np.mean(found), np.std(found) / np.sqrt(60)
        assert mean > previous[0] - 2.5 * np.hypot(error, previous[1]), n
        previous = mean, error


# what is tested by betting: losses of rows, and of clusters of rows


def betting(score, loss, clusters=None):
    regions = candidates(np.asarray(score, dtype=float))
    loss = np.asarray(loss, dtype=float)
    return regions, Betting(regions, made_events(loss)) if clusters is None else ClusterBetting(
        regions, made_events(loss), None, clusters
    )


def test_wealth_by_hand():
    """Two units without a loss, a third with one; wealth is the mean over bets of the product of 1 - bet (loss - r)."""
    _, test = betting([3.0, 2, 1], [0, 0, 0.5])
    bets = np.arange(1, 6) / 5 * 0.9999 / 0.8  # fifths of what a loss of 1 would nearly ruin
    whole = np.mean((1 + 0.2 * bets) ** 2 * (1 - 0.3 * bets))
    first = np.mean((1 + 0.2 * bets) ** 2 / (1 + 0.2 * bets))  # one unit is left out of a region with a border
    expected = [min(1 / np.mean((1 + 0.2 * bets) ** k), 1.0) for k in (0, 1)]
    np.testing.assert_allclose(test.p_values([0, 1], 0.2), expected)
    assert expected[1] == pytest.approx(1 / first)
    np.testing.assert_allclose(test.p_values([2], 0.2), [min(1 / whole, 1.0)])


def test_clusters_of_one_row_are_rows(rng):
    score, loss = rng.random(400), rng.random(400) * (rng.random(400) < 0.2)
    _, rows = betting(score, loss)
    _, clusters = betting(score, loss, rng.permutation(400))
    at = np.array([50, 100, 399])
    # a cluster that is rejected pays nothing, so that wealth is the same but for what is left out at the border
    np.testing.assert_allclose(clusters.p_values(at, 0.2), rows.p_values(at, 0.2), rtol=1e-9)


@pytest.mark.parametrize("rows", [1, 8])
def test_more_rows_of_the_same_clusters_say_no_more(rows, rng):
    score, loss = rng.random(200), (rng.random(200) < 0.02).astype(float)
    _, one = betting(score, loss, np.arange(200))
    _, many = betting(np.repeat(score, rows), np.repeat(loss, rows), np.repeat(np.arange(200), rows))
    np.testing.assert_allclose(many.p_values(np.arange(200), 0.1), one.p_values(np.arange(200), 0.1), rtol=1e-9)


@pytest.mark.parametrize("risk", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("kind", [Binomial, Betting])
@pytest.mark.parametrize("level", [0.05, 1e-4])
def test_the_smallest_sample_passes_and_a_smaller_one_does_not(kind, risk, level):
    least = kind.smallest(risk, level)
    test = kind(candidates(np.arange(least + 10.0)), made_events(np.zeros(least + 10)))
    for size, passes in ((least, True), (least - 1, False)):
        at = np.searchsorted(test.size[:-1], [size])
        assert (test.p_values(at, risk)[0] <= level) == passes


@pytest.mark.parametrize("kind", ["graded", "clusters", "clusters of one answer"])
def test_promises_on_bounded_losses_are_kept(kind):
    """The mean loss is 2 % above the target wherever the threshold is: nothing may be certified."""
    broken = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        n, clusters = 400, None
        score, loss = rng.random(n), rng.beta(1, 6, n) * 7 * 0.102
        if kind != "graded":
            clusters = np.arange(n) // 8
            shared = rng.random(50)[clusters] if kind == "clusters of one answer" else rng.random(n)
            loss = (shared < 0.102).astype(float)
        loss = np.clip(loss, 0, 1)
        _, test = betting(score, loss, clusters)
        broken += fixed_sequence(test, 0.1, 0.1) is not None
    assert broken / 300 <= 0.1 + 3 * np.sqrt(0.09 / 300)


def test_clusters_are_what_a_promise_is_kept_for():
    """Films of equal frames: rows taken for independent break the promise, clusters keep it."""
    broken = {"rows": 0, "clusters": 0}
    for seed in range(200):
        rng = np.random.default_rng(seed)
        wrong = rng.random(100) < 0.11
        score, correct = np.repeat(rng.random(100), 30), np.repeat(~wrong, 30)
        broken["rows"] += fixed_sequence(binomial(score, correct)[1], 0.1, 0.1) is not None
        test = betting(score, 1.0 - correct, np.repeat(np.arange(100), 30))[1]
        broken["clusters"] += fixed_sequence(test, 0.1, 0.1) is not None
    assert broken["rows"] / 200 > 0.3
    assert broken["clusters"] / 200 <= 0.1


class Passing:
    """A test that the regions of up to a number of rows pass."""

    def __init__(self, n, last):
        self.size, self.last = np.arange(1, n + 1), last

    def p_values(self, at, risk):
        return (self.size[at] > self.last).astype(float)


@pytest.mark.parametrize("n", [1, 2, 7, 8, 100])
def test_binary_search_ends_at_the_last_region_that_passes(n):
    for last in range(1, n + 1):
        assert sgr(Passing(n, last), 0.05, 0.05).position == last - 1
    assert sgr(Passing(n, 0), 0.05, 0.05) is None


@pytest.mark.parametrize(("procedure", "level"), [(fixed_sequence, 0.05), (bonferroni, 0.05 / 20)])
def test_the_smallest_sample_without_an_error_is_certified(procedure, level):
    for risk in np.linspace(0.02, 0.3, 29):
        least = smallest_sample(risk, level)
        _, test = binomial(np.arange(float(least)), np.ones(least))
        assert test.accepted[procedure(test, risk, 0.05).position] == least


def test_a_grid_begins_at_the_smallest_region_that_can_pass():
    for risk in (0.02, 0.1, 0.3):
        least = smallest_sample(risk, 0.05 / 20)
        _, test = binomial(-np.arange(3.0 * least), np.arange(3 * least) <= least)
        assert test.size[bonferroni(test, risk, 0.05).position] == least


def test_reachable_risks_have_three_digits():
    for n in (100, 200, 300, 500):
        _, test = binomial(np.arange(float(n)), np.ones(n))
        risk = reachable_risk(fixed_sequence, test, 1e-3, 0.05)
        assert risk == pytest.approx(float(f"{risk:.2e}"), rel=1e-12)


def test_clusters_of_one_size_fill_by_the_row(rng):
    clusters = np.repeat(np.arange(64), 8)
    _, test = betting(rng.random(512), np.zeros(512), rng.permutation(clusters))
    np.testing.assert_array_equal(test.size, test.accepted // 8)


def test_a_bound_is_where_the_test_turns(rng):
    """All rows: the risk at the bound is rejected, and one smaller in the sixth digit is not."""
    for _ in range(20):
        loss = rng.random(100) * (rng.random(100) < rng.random())
        _, test = betting(rng.random(100), loss)
        for bound in (mean_bound(loss, 0.1), test.bound(99, 0.1)):
            assert test.p_values(99, bound)[0] <= 0.1 < test.p_values(99, bound * (1 - 1.01e-6))[0]

"""Groups: never split by inner folds (H3), a threshold each at little cost (H14), and none without a name (M5)."""

import tracemalloc

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GroupKFold,
    GroupShuffleSplit,
    LeaveOneGroupOut,
    LeavePGroupsOut,
    StratifiedGroupKFold,
)
from small_problems import attempt, overlapping, quiet

import abstain
from abstain.warnings import UncertifiedWarning

pytestmark = pytest.mark.filterwarnings("ignore::abstain.warnings.AbstainWarning")


def films(n_films=30, frames=8, seed=0):
    """Draw frames of films; the first column names the film, and labels are those of the film."""
    rng = np.random.default_rng(seed)
    film = np.repeat(np.arange(n_films), frames)
    y = rng.permutation(np.arange(n_films) % 2)[film]
    X = rng.normal(size=(n_films, 4))[film] + 0.1 * rng.normal(size=(film.size, 4)) + 0.3 * y[:, None]
    X[:, 0] = film
    order = rng.permutation(film.size)
    return X[order], y[order], film[order]


class Memory(BaseEstimator):
    """Scorer that notes how many of the films it is asked about it was fitted on."""

    sees = "features"
    target = "label"
    notes: list = []  # noqa: RUF012  # clones share it

    def fit(self, X, y):
        self.films_ = set(np.asarray(X)[:, 0].tolist())
        return self

    def score_samples(self, X):
        film = np.asarray(X)[:, 0]
        Memory.notes.append(np.isin(film, list(self.films_)).mean())
        return np.asarray(X)[:, 1] + 0.0


class FoldMemory(Memory):
    """Scorer that cross-fits itself, and notes the films that a fold has on both sides."""

    def fit_held_out(self, X, y, folds):
        film = np.asarray(X)[:, 0]
        tested = np.zeros(len(film), bool)
        for train, test in folds:
            Memory.notes.append(np.isin(film[test], film[train]).mean())
            tested[test] = True
        Memory.notes.append(float(not tested.all()))
        self.fit(X, y)
        return np.asarray(X)[:, 1] + 0.0


SPLITTERS = {
    "number": 3,
    "one split": GroupShuffleSplit(1, test_size=0.4, random_state=0),
    "two splits": GroupShuffleSplit(2, test_size=0.3, random_state=0),
    "group folds": GroupKFold(3),
    "stratified group folds": StratifiedGroupKFold(3),
    "pairs": LeavePGroupsOut(14),
}


@pytest.mark.parametrize("scorer", [Memory(), FoldMemory()], ids=["fitted in folds", "cross-fits itself"])
@pytest.mark.parametrize("frozen", [False, True], ids=["cross-fitted", "frozen"])
@pytest.mark.parametrize("cv", [name for name in SPLITTERS if name != "pairs"])
def test_inner_folds_keep_groups_together(cv, frozen, scorer):
    X, y, film = films()
    base = FrozenEstimator(LogisticRegression().fit(X[:60], y[:60])) if frozen else LogisticRegression()
    Memory.notes.clear()
    quiet(abstain.SelectiveClassifier(base, scorer, cv=SPLITTERS[cv]).fit, X, y, groups=film)
    assert Memory.notes, "nothing was scored"
    assert not any(Memory.notes)


@pytest.mark.parametrize("scorer", [Memory(), FoldMemory()], ids=["fitted in folds", "cross-fits itself"])
def test_inner_folds_of_a_list_with_one_split_keep_groups_together(scorer):
    X, y, film = films()
    splits = list(GroupShuffleSplit(1, test_size=0.4, random_state=0).split(X, y, film))
    Memory.notes.clear()
    quiet(abstain.SelectiveClassifier(LogisticRegression(), scorer, cv=splits).fit, X, y, groups=film)
    assert Memory.notes
    assert not any(Memory.notes)


@pytest.mark.parametrize("kind", ["str", "object", "float", "pandas", "list"])
def test_groups_may_be_of_any_kind(kind):
    X, y, film = films()
    groups = film.tolist() if kind == "list" else film.astype("float" if kind == "float" else "str")
    if kind == "object":
        groups = groups.astype(object)
    if kind == "pandas":
        groups = pytest.importorskip("pandas").Series(groups, dtype="category")
    Memory.notes.clear()
    quiet(abstain.SelectiveClassifier(LogisticRegression(), Memory(), cv=3).fit, X, y, groups=groups)
    assert Memory.notes
    assert not any(Memory.notes)


@pytest.mark.parametrize("cv", ["number", "one split", "group folds"])
@pytest.mark.parametrize("frozen", [False, True], ids=["cross-fitted", "frozen"])
def test_auto_trust_keeps_groups_together(cv, frozen):
    X, y, film = films(40)
    y = np.where(np.random.default_rng(0).random(len(y)) < 0.25, 1 - y, y)
    base = FrozenEstimator(LogisticRegression().fit(X[:60], y[:60])) if frozen else LogisticRegression()
    Memory.notes.clear()
    clf = abstain.AutoTrust(base, scorers=[Memory()], budget="fast", cv=SPLITTERS[cv], random_state=0)
    quiet(clf.fit, X, y, groups=film)
    assert Memory.notes
    assert not any(Memory.notes)


def test_auto_trust_is_not_sure_where_only_frames_of_the_same_film_know():
    rng = np.random.default_rng(0)
    film = np.repeat(np.arange(60), 6)
    y = rng.integers(2, size=60)[film]  # a coin for each film: nothing can be known of a new one
    X = 2 * rng.normal(size=(60, 12))[film] + 0.05 * rng.normal(size=(film.size, 12))
    cv = GroupShuffleSplit(1, test_size=0.5, random_state=0)
    clf = abstain.AutoTrust(LogisticRegression(), budget="fast", cv=cv, random_state=0)
    fitted = quiet(clf.fit, X, y, groups=film)
    assert fitted.score_samples(2 * rng.normal(size=(600, 12))).std() < 0.3


def test_leave_one_group_out_scores_every_row():
    X, y, film = films(12)
    Memory.notes.clear()
    fitted = quiet(
        abstain.SelectiveClassifier(LogisticRegression(), Memory(), cv=LeaveOneGroupOut()).fit, X, y, groups=film
    )
    assert fitted.report_.n == len(y)
    assert not any(Memory.notes)


@pytest.mark.parametrize("clf", [abstain.CorrectnessTrust(cv=3), abstain.DifficultyAwareClassifier(cv=3)], ids=repr)
def test_every_method_takes_groups(clf):
    X, y, film = films()
    fitted = quiet(clf.set_params(random_state=0).fit, X, y, groups=film)
    assert np.isfinite(fitted.score_samples(X)).all()


# one threshold for each group


def three_groups(n=3000, seed=0):
    """Draw scores on three scales: the same score means another risk in each group."""
    rng = np.random.default_rng(seed)
    group = np.array(["a", "b", "c"])[np.arange(n) % 3]
    quantile = rng.random(n)
    shift = np.array([2.0, 0.0, -2.0])[np.arange(n) % 3]
    worst = np.array([0.02, 0.3, 0.6])[np.arange(n) % 3]
    correct = rng.random(n) > worst * (1 - quantile) ** 2
    return quantile + shift, correct, group


def test_one_threshold_a_group_covers_more_than_one_for_all():
    score, correct, group = three_groups()
    together = quiet(abstain.TargetRisk(0.05).fit, score, correct, groups=group)
    apart = quiet(abstain.TargetRisk(0.05, groupwise=True).fit, score, correct, groups=group)
    assert sorted(apart.threshold_) == ["a", "b", "c"]
    accepted = apart.accept(score, groups=group)
    assert accepted.mean() > together.accept(score).mean() + 0.2
    for name, threshold in apart.threshold_.items():
        rows = group == name
        np.testing.assert_array_equal(accepted[rows], score[rows] > threshold)
        assert (accepted & rows & ~correct).sum() <= 0.05 * max((accepted & rows).sum(), 1)
        assert not np.isin(threshold, score)
    assert apart.certificate_.guaranteed
    assert apart.certificate_.accepted == accepted.sum()


def test_each_group_is_certified_at_its_share_of_delta():
    score, correct, group = three_groups()
    apart = quiet(abstain.TargetRisk(0.05, delta=0.06, groupwise=True).fit, score, correct, groups=group)
    for name in ("a", "b", "c"):
        rows = group == name
        alone = quiet(abstain.TargetRisk(0.05, delta=0.02).fit, score[rows], correct[rows])
        np.testing.assert_array_equal(apart.accept(score[rows], groups=group[rows]), alone.accept(score[rows]))


def test_groups_that_were_not_seen_are_not_answered():
    score, correct, group = three_groups()
    apart = quiet(abstain.TargetRisk(0.05, groupwise=True).fit, score, correct, groups=group)
    accepted, refusal = attempt(apart.accept, score[:5] + 10, groups=np.array(["z"] * 5))
    assert "z" in refusal if accepted is None else not accepted.any()
    with pytest.raises((ValueError, TypeError), match="groups"):
        apart.accept(score)


def test_a_classifier_decides_by_group():
    X, y = overlapping(900)
    group = np.where(X[:, 2] > 0, "up", "down")
    fitted = quiet(abstain.SelectiveClassifier(LogisticRegression(), cv=2).fit, X[:300], y[:300])
    policy = abstain.TargetRisk(0.2, groupwise=True)
    quiet(fitted.fit_policy, X[300:], y[300:], policy, groups=group[300:])
    accepted = fitted.accept(X[300:], groups=group[300:])
    assert set(fitted.policy_.threshold_) == {"up", "down"}
    decided = fitted.decide(X[300:], groups=group[300:])
    np.testing.assert_array_equal(decided, np.where(accepted, fitted.predict(X[300:]), -1))


@pytest.mark.parametrize("groupwise", [False, True])
@pytest.mark.parametrize("names", [("north", "tiny"), (3, 77), ("north", "")], ids=str)
def test_the_warning_names_the_group_that_is_too_small(groupwise, names):
    rng = np.random.default_rng(0)
    group = np.array(names)[np.r_[np.zeros(990, int), np.ones(10, int)]]
    policy = abstain.TargetRisk(0.05, groupwise=groupwise)
    with pytest.warns(UncertifiedWarning) as caught:
        policy.fit(rng.random(1000), np.ones(1000, bool), groups=group)
    text = str(caught[0].message)
    assert repr(names[1]) in text or (str(names[1]) and str(names[1]) in text)


@pytest.mark.parametrize("groupwise", [False, True])
def test_the_printed_certificate_shows_every_group(groupwise):
    score, correct, _ = three_groups()
    group = np.array(["north", "south"])[np.random.default_rng(1).integers(2, size=len(score))]
    policy = quiet(abstain.TargetRisk(0.2, groupwise=groupwise).fit, score, correct, groups=group)
    printed = str(policy.certificate_)
    accepted = policy.accept(score, groups=group) if groupwise else policy.accept(score)
    for name in ("north", "south"):
        (line,) = [line for line in printed.splitlines() if name in line]
        assert str((accepted & (group == name)).sum()) in line
        assert str((accepted & (group == name) & ~correct).sum()) in line


@pytest.mark.parametrize("groupwise", [False, True])
def test_many_groups_cost_little_memory(groupwise):
    rng = np.random.default_rng(0)
    n, n_groups = 40_000, 400
    score, group = rng.random(n), rng.integers(n_groups, size=n)
    correct = rng.random(n) < 0.999
    tracemalloc.start()
    try:
        quiet(abstain.TargetRisk(0.2, groupwise=groupwise).fit, score, correct, groups=group)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40 * 8 * n  # some vectors of n numbers; a table of n by groups is 400 of them


MISSING = {
    "float": np.nan,
    "None": None,
    "object": float("nan"),
    "NaT": np.datetime64("NaT"),
}


def with_missing(kind, n=500):
    group = {
        "float": np.zeros(n),
        "None": np.array(["a"] * n, dtype=object),
        "object": np.array(["a"] * n, dtype=object),
        "NaT": np.full(n, np.datetime64("2020-01-01")),
    }[kind]
    group[:3] = MISSING[kind]
    return group


@pytest.mark.parametrize("kind", MISSING)
@pytest.mark.parametrize("name", ["groups", "clusters"])
def test_groups_and_clusters_without_a_name_are_refused(kind, name):
    score = np.random.default_rng(0).random(500)
    with pytest.raises(ValueError, match=name):
        abstain.TargetRisk(0.2).fit(score, np.ones(500, bool), **{name: with_missing(kind)})


@pytest.mark.parametrize("kind", ["category", "string", "Int64"])
def test_missing_values_of_pandas_are_refused(kind):
    pandas = pytest.importorskip("pandas")
    values = [1] * 497 if kind == "Int64" else ["a"] * 497
    groups = pandas.Series([None] * 3 + values, dtype=kind)
    score = np.random.default_rng(0).random(500)
    with pytest.raises(ValueError, match="groups"):
        abstain.TargetRisk(0.2).fit(score, np.ones(500, bool), groups=groups)


@pytest.mark.parametrize("kind", MISSING)
def test_estimators_refuse_groups_without_a_name(kind):
    X, y = overlapping(500)
    clf = abstain.SelectiveClassifier(LogisticRegression(), cv=2)
    with pytest.raises(ValueError, match="groups"):
        quiet(clf.fit, X, y, groups=with_missing(kind))
    quiet(clf.fit, X, y)
    with pytest.raises(ValueError, match="groups"):
        clf.fit_policy(X, y, abstain.TargetRisk(0.2), groups=with_missing(kind))

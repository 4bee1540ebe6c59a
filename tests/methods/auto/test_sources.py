"""Sources of columns: held out, within their time, and never surer than their samples can bear."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
from made import made_view
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import pairwise_distances

from abstain.folds import Folds
from abstain.methods.auto import sources
from abstain.methods.auto.nearness import NearestOfClass
from abstain.methods.auto.opinions import ForestOpinion, KernelOpinion, judged
from abstain.methods.auto.sources import Clock, JoinedSource, OpinionSource, Source, class_sources, given_sources
from abstain.protocols import as_scorer
from abstain.selective.stress import LEVELS, levels_of, noisy
from abstain.solvers.forest import Forest, SmoothedTrees


def test_a_slow_source_is_given_up_after_its_first_fold(curved):
    X = curved[0]
    folds = Folds([(np.arange(400), np.arange(400, 800)), (np.arange(400, 800), np.arange(400))], 800)
    asked = []

    def slow(proba):
        asked.append(len(proba))
        time.sleep(0.2)
        return proba.max(axis=1)

    view = made_view(X, np.log(np.full((800, 4), 0.25)), classes=np.arange(4))
    found, _ = Source("slow", as_scorer(slow)).held_out([view], None, folds, Clock(0.3))
    assert found is None
    assert asked == [400]


@pytest.mark.parametrize(("budget", "calls"), [(5.0, 4), (4.75, 1)])
def test_a_source_is_asked_if_there_is_time_for_all_folds_and_the_last_fit(budget, calls, monkeypatch):
    now, rows = [100.0], np.arange(8)
    monkeypatch.setattr(sources, "time", SimpleNamespace(monotonic=lambda: now[0]))
    asked = []

    def slow(proba):
        asked.append(len(proba))
        now[0] += 1.0
        return proba.max(axis=1)

    view = made_view(rows[:, None], np.log(np.full((8, 4), 0.25)), classes=np.arange(4))
    folds = Folds([(np.delete(rows, [i, i + 1]), rows[i : i + 2]) for i in (0, 2, 4, 6)], 8)
    found, _ = Source("slow", as_scorer(slow)).held_out([view], None, folds, Clock(budget))
    assert (found is not None) == (calls == 4)
    assert asked == [2] * calls


def problem(rng, counts, d=3):
    codes = np.repeat(np.arange(len(counts)), counts)
    X = rng.normal(size=(len(codes), d)) + 3 * rng.normal(size=(len(counts), d))[codes]
    view = made_view(X, np.log(np.full((len(codes), len(counts)), 1 / len(counts))), classes=np.arange(len(counts)))
    return view, SimpleNamespace(codes=codes, outputs=view.outputs, target=lambda name: codes)


def test_sources_that_know_classes_need_eight_samples_of_each(rng):
    options = {"n_jobs": None, "seed": 0}
    for count, thorough, expected in ((8, True, 4), (7, True, 0), (8, False, 2)):
        view, outcome = problem(rng, [count] * 10)
        assert len(class_sources(view, outcome, [None] * 5, thorough=thorough, **options)) == expected
    for counts, expected in (([200, 200, 3], 4), ([127, 7], 0), ([134, 7], 4)):  # one in twenty is of a rare class
        view, outcome = problem(rng, counts)
        assert len(class_sources(view, outcome, [None] * 5, thorough=True, **options)) == expected
    assert class_sources(made_view(None, view.outputs.log_proba), outcome, [None], thorough=True, **options) == []


def test_opinions_are_those_of_models_that_have_not_seen_the_sample(rng):
    """Labels of pure noise: a forest that has seen them agrees with them, one that has not does not."""
    view, _ = problem(rng, [150, 150])
    codes = rng.integers(0, 2, 300)
    outcome = SimpleNamespace(target=lambda name: codes)
    folds = Folds([(np.delete(np.arange(300), t), t) for t in np.split(rng.permutation(300), 5)], 300)
    view = made_view(view.features, np.log(np.eye(2)[codes] * 0.8 + 0.1), classes=np.arange(2))
    classes = np.arange(2)
    trees, kernel = (
        JoinedSource("trees", ForestOpinion(classes, 0, 10)),
        OpinionSource("kernel", KernelOpinion(classes, 0)),
    )
    for source in (trees, kernel):
        (columns,), parts = source.held_out([view], outcome, folds, Clock(np.inf))
        assert abs((columns[:, 0] > 0).mean() - 0.5) < 0.09
        whole = source.whole(view, outcome, parts)
        assert (whole.columns(view)[:, 0] > 0).mean() > 0.59


def test_joined_forests_are_means(rng):
    X, codes, classes = rng.normal(size=(200, 3)), rng.integers(0, 3, 200), np.arange(3)
    view = made_view(X, np.log(np.full((200, 3), 1 / 3)), classes=classes)
    halves = slice(120), slice(80, 200)
    forests = [ForestOpinion(classes, seed, 7).fit(view[rows], codes[rows]) for seed, rows in enumerate(halves)]
    mean = np.mean([part.forest_.proba(X) for part in forests], axis=0)
    np.testing.assert_allclose(np.exp(forests[0].joined(forests).log_proba(X)), mean, atol=5e-3)  # priors are averaged


def test_a_class_that_a_part_has_not_seen_is_improbable(rng):
    X, classes = rng.normal(size=(90, 2)), np.arange(3)
    codes = rng.integers(0, 2, 90)
    view = made_view(X, np.log(np.full((90, 3), 1 / 3)), classes=classes)
    for scorer in (ForestOpinion(classes, 0, 5), KernelOpinion(classes, 0)):
        log_proba = scorer.fit(view, codes).log_proba(X)
        assert np.isfinite(log_proba).all()
        assert (log_proba[:, 2] < np.log(0.05)).all()


def test_judged_by_hand():
    own, lead = judged(np.log([[0.7, 0.2, 0.1]]), np.array([0]))[0]
    assert own == pytest.approx(np.log(0.7 / 0.3))
    assert lead == pytest.approx(np.log(0.7 / 0.2))


@pytest.mark.parametrize("n_classes", [2, 5])
def test_flat_trees_are_those_of_scikit_learn(rng, n_classes):
    """The same leaves, and so the same votes, before they are smoothed by the number of samples."""
    X = rng.normal(size=(300, 4)).astype(np.float32)
    codes, new = rng.integers(0, n_classes, 300), rng.normal(size=(500, 4)).astype(np.float32)
    forest = Forest.grow(X, codes, n_classes, 9, seed=3)
    trees = ExtraTreesClassifier(9, random_state=3).fit(X, codes)
    prior = (np.bincount(codes, minlength=n_classes) + 0.5) / (300 + 0.5 * n_classes)
    expected = np.zeros((500, n_classes))
    for tree in trees.estimators_:
        leaf = tree.tree_.apply(new)
        share, size = tree.tree_.value[leaf, 0, :], tree.tree_.n_node_samples[leaf, None]
        share = share / share.sum(axis=1, keepdims=True)
        expected += (share * size + prior) / (size + 1) / 9  # leaves are pure
    np.testing.assert_allclose(forest.proba(new), expected, atol=1e-6)
    np.testing.assert_allclose(forest.proba(new[:1]), forest.proba(new)[:1], rtol=1e-12)
    np.testing.assert_allclose(forest.proba(new).sum(axis=1), 1, rtol=1e-9)


def test_a_copy_with_another_label_does_not_come_out_certain(rng):
    X = rng.normal(size=(400, 3))
    y = (X[:, 0] > 0).astype(int)
    X[0], y[0] = 3.0, 0  # among those of class 1
    proba = SmoothedTrees(200, random_state=0).fit(X, y).predict_proba(X[:1])
    raw = ExtraTreesClassifier(200, random_state=0).fit(X, y).predict_proba(X[:1])
    assert raw[0, 0] == 1.0
    assert proba[0, 0] < 0.8


def test_nearest_of_class_by_brute_force(rng):
    view, outcome = problem(rng, [30, 40, 50], d=4)
    new, answer = rng.normal(size=(60, 4)), rng.integers(0, 3, 60)
    fitted = NearestOfClass(np.arange(3), 0).fit(view, outcome.codes)
    log_proba = np.log(np.eye(3)[answer] * 0.7 + 0.1)
    columns = fitted.columns(made_view(new, log_proba, classes=np.arange(3)))
    mean, scale = view.features.mean(axis=0), view.features.std(axis=0)
    apart = pairwise_distances((new - mean) / scale, (view.features - mean) / scale)
    apart = np.maximum(apart, fitted.floor_)
    nearest = np.column_stack([apart[:, outcome.codes == k].min(axis=1) for k in range(3)])
    own, others = nearest[np.arange(60), answer], nearest.copy()
    others[np.arange(60), answer] = np.inf
    np.testing.assert_allclose(columns[:, 0], -np.log(nearest.min(axis=1)), atol=1e-4)
    np.testing.assert_allclose(columns[:, 1], np.log(others.min(axis=1) / own), atol=1e-4)
    share = nearest**-4.0
    np.testing.assert_allclose(columns[:, 2], share[np.arange(60), answer] / share.sum(axis=1), atol=1e-4)
    np.testing.assert_array_equal(columns[:, 3], own < others.min(axis=1))
    copies = fitted.columns(made_view(view.features, np.log(np.full((120, 3), 1 / 3)), classes=np.arange(3)))
    assert np.isfinite(copies).all()


def test_distances_in_many_columns_are_those_in_the_leading_directions(rng):
    plane = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 300))
    view = made_view(plane, np.log(np.full((200, 2), 0.5)), classes=np.arange(2))
    fitted = NearestOfClass(np.arange(2), 0).fit(view, np.arange(200) % 2)
    assert fitted.rows_.shape[1] == 128
    scaled = (plane - plane.mean(axis=0)) / plane.std(axis=0)
    by_class = np.argsort(np.arange(200) % 2, kind="stable")
    expected = pairwise_distances(scaled)[np.ix_(by_class, by_class)]
    np.testing.assert_allclose(pairwise_distances(fitted.rows_.astype(float)), expected, atol=1e-2)


def test_noise_is_as_large_as_it_says_and_refused_where_it_makes_no_sense(rng):
    X = rng.normal(size=(6000, 3)) * [1.0, 10.0, 0.0] + 5
    level = levels_of(6000)
    assert {*level} == {*LEVELS}
    difference = noisy(X, 2) - X
    for one in LEVELS:
        np.testing.assert_allclose(difference[level == one].std(axis=0), one * X.std(axis=0), rtol=0.06)
    np.testing.assert_array_equal(noisy(X, 2), noisy(X, 2))
    X[0, 0] = np.nan
    assert np.isnan(noisy(X, 2)).sum() == 1
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=list("abc"))
    assert list(noisy(frame, 2).columns) == list("abc")
    assert noisy(frame.assign(c="text"), 2) is None
    assert noisy(["a", "b"], 2) is None
    assert noisy(X, 10**6) is None  # too large


def test_scorers_of_one_kind_have_names_of_their_own(rng):
    view, _ = problem(rng, [10, 10])
    twice = given_sources([len, len], view.outputs)
    assert [source.name for source in twice] == ["len", "len (2)"]

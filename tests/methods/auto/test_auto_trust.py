"""AutoTrust: what it gains, when it falls back, what it says of itself."""

import pickle
import warnings
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import ShuffleSplit
from sklearn.neighbors import KNeighborsClassifier

from abstain import AutoTrust, FixedThreshold, NearestNeighbours, RelativeMahalanobis
from abstain.datasets import load_hard_digits, make_known_posterior
from abstain.methods.auto import sources, stack
from abstain.methods.auto.stack import MIN_ERRORS
from abstain.metrics import aurc, expected_calibration_error
from abstain.scores import margin, max_probability
from abstain.warnings import AbstainWarning, FewErrorsWarning


class Posterior(ClassifierMixin, BaseEstimator):
    """The features are log-probabilities: a network whose outputs were saved."""

    def __init__(self, n_classes=4):
        self.n_classes = n_classes
        self.classes_ = np.arange(n_classes)

    def fit(self, X, y):
        return self

    def predict_proba(self, X):
        return np.exp(X)


def ratio(est, X, y):
    correct = est.predict(X) == y
    return aurc(correct, est.score_samples(X)) / aurc(correct, max_probability(est.predict_proba(X)))


def test_beats_maximum_probability_where_there_is_something_to_learn(fitted, curved):
    *_, X, y = curved
    assert fitted.report_.chosen == "stack"
    assert fitted.scorer_.rounding == np.finfo(np.float32).eps  # of distances
    assert ratio(fitted, X, y) < 0.6
    fast = AutoTrust(LogisticRegression(), budget="fast", cv=3, random_state=0).fit(*curved[:2])
    assert ratio(fast, X, y) < 0.7
    assert fast.report_.sources[-1][0] == "nearest neighbours"


def test_second_opinions_that_are_right_more_often_are_reported(fitted):
    """Four rings in the plane: trees and a kernel see what a linear classifier does not."""
    report = fitted.report_
    assert {opinion.name for opinion in report.opinions} == {"second opinion, trees", "second opinion, kernel"}
    assert all(opinion.accuracy > report.accuracy + 0.05 for opinion in report.opinions)


def test_scores_are_calibrated(fitted, curved):
    *_, X, y = curved
    score = fitted.score_samples(X)
    correct = fitted.predict(X) == y
    assert expected_calibration_error(correct, score) < 0.08
    assert abs(score.mean() - correct.mean()) < 0.05


@pytest.mark.slow
def test_is_maximum_probability_where_that_is_the_truth():
    """With the true posterior nothing can be gained: luck lets a stack through in some draws, and costs little then."""
    ratios = []
    for seed in range(8):
        _, y, posterior = make_known_posterior(2600, n_classes=4, separation=1.5, random_state=seed)
        log_proba = np.log(posterior)
        est = AutoTrust(FrozenEstimator(Posterior()), cv=3, random_state=0).fit(log_proba[:600], y[:600])
        correct, score = posterior[600:].argmax(axis=1) == y[600:], est.score_samples(log_proba[600:])
        assert expected_calibration_error(correct, score) < 0.1
        top = max_probability(posterior[600:])
        if est.report_.chosen == "maximum probability":
            np.testing.assert_array_equal(np.argsort(score), np.argsort(top))
        else:
            ratios.append(aurc(correct, score) / aurc(correct, top))
    assert len(ratios) <= 3
    assert all(ratio < 1.12 for ratio in ratios)


def test_the_fall_back_calibrates_an_overconfident_network():
    _, y, posterior = make_known_posterior(3000, n_classes=4, separation=1.5, random_state=0)
    sharp = 4 * np.log(posterior)
    sharp -= np.log(np.exp(sharp).sum(axis=1, keepdims=True))
    est = AutoTrust(FrozenEstimator(Posterior()), head_inputs="confidence", cv=3, random_state=0)
    est.fit(sharp[:1500], y[:1500])
    correct, score = sharp[1500:].argmax(axis=1) == y[1500:], est.score_samples(sharp[1500:])
    assert expected_calibration_error(correct, np.exp(sharp[1500:]).max(axis=1)) > 0.15
    assert expected_calibration_error(correct, score) < 0.05


def test_few_errors_are_not_learnt_from():
    X, y = load_hard_digits(noise=2)
    with pytest.warns(FewErrorsWarning, match="maximum probability, recalibrated"):
        est = AutoTrust(LogisticRegression(max_iter=300), cv=3, random_state=0).fit(X[:300], y[:300])
    assert est.report_.errors < 20
    assert est.report_.checks == ()
    assert est.report_.chosen == "maximum probability"
    assert est.scorer_.rounding == 0
    np.testing.assert_array_equal(
        np.argsort(est.score_samples(X[300:])), np.argsort(max_probability(est.predict_proba(X[300:])))
    )


def test_a_budget_in_seconds_ends_the_search(curved):
    X, y, *_ = curved
    none = AutoTrust(LogisticRegression(), budget=0, cv=3, random_state=0).fit(X, y)
    assert none.scorer_.sources_ == []
    assert [used for *_, used in none.report_.sources] == [False] * 4
    assert "out of time" in str(none.report_)


def test_user_scorers_join(curved):
    X, y, X_new, y_new = curved
    prefit = FrozenEstimator(RelativeMahalanobis(at="predicted").fit(X_new[:400], y_new[:400]))

    def second_feature(inputs):
        return inputs[:, 1]

    second_feature.sees = "features"
    est = AutoTrust(LogisticRegression(), scorers=[margin, prefit, second_feature], budget="fast", cv=3, random_state=0)
    est.fit(X, y)
    assert [name for name, *_ in est.report_.sources[:3]] == ["margin", "RelativeMahalanobis", "second_feature"]
    assert np.isfinite(est.score_samples(X_new)).all()
    assert "second_feature" in est.explain(X_new[:1])[0].grounds.parts


def test_declared_logits_bring_their_norm(curved):
    X, y, *_ = curved
    est = AutoTrust(LogisticRegression(), response_method="decision_function", budget="fast", cv=3, random_state=0)
    assert est.fit(X, y).report_.sources[0][0] == "logit norm"


@pytest.mark.parametrize("d", [5, 80, 140])
@pytest.mark.parametrize("scale", [1e153, 1e200, 1e305])
def test_features_too_large_for_their_squares_are_one_clear_error(rng, d, scale):
    y = rng.integers(0, 3, 300)
    X = scale * (rng.normal(size=(300, d)) + 0.2 * y[:, None])
    est = AutoTrust(HistGradientBoostingClassifier(max_iter=2), budget="fast", cv=2, random_state=0)
    with pytest.raises(ValueError, match="too large"):
        est.fit(X, y)


def test_string_labels_and_a_single_split(curved):
    X, y, X_new, y_new = curved
    names = np.array(["a", "b", "c", "d"])
    splitter = ShuffleSplit(1, test_size=0.5, random_state=0)
    est = AutoTrust(LogisticRegression(), budget="fast", cv=splitter, random_state=0).fit(X, names[y])
    assert est.report_.n == 400
    assert ratio(est, X_new, names[y_new]) < 0.8
    assert set(est.decide(X_new)) <= {*names, "abstain"}


def test_held_out_scores_are_honest(curved):
    """Labels of pure noise: in-sample a forest and its second opinion agree with them all, held out nothing does."""
    X, _, X_new, _ = curved
    rng = np.random.default_rng(1)
    y, y_new = rng.integers(0, 2, 800), rng.integers(0, 2, 800)
    est = AutoTrust(RandomForestClassifier(20, random_state=0), cv=3, random_state=0).fit(X, y)
    certificate = est.policy_.certificate_
    assert 0.35 < certificate.errors / certificate.accepted < 0.65
    assert ratio(est, X_new, y_new) < 1.05


@pytest.mark.parametrize(
    "base", [RandomForestClassifier(30, min_samples_leaf=3, random_state=0), KNeighborsClassifier(5)]
)
def test_the_fall_back_calibrates_probabilities_of_one(base):
    """Their log-odds are 1e6, or infinite; a slope fitted to those would make all scores alike."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 4))
    y = (X[:, 0] + 0.7 * rng.normal(size=3000) > 0).astype(int)
    est = AutoTrust(base, policy=FixedThreshold(0.5), head_inputs="confidence", budget=0, cv=3, random_state=0).fit(
        X[:600], y[:600]
    )
    assert est.report_.chosen == "maximum probability"
    correct, score = est.predict(X[600:]) == y[600:], est.score_samples(X[600:])
    top = max_probability(est.predict_proba(X[600:]))
    assert aurc(correct, score) == pytest.approx(aurc(correct, top), rel=1e-4)
    assert np.mean((score - correct) ** 2) < np.mean((correct.mean() - correct) ** 2)
    assert expected_calibration_error(correct, score) < 0.06


def test_classes_without_samples_and_batches(curved):
    """A predicted class that fit has not seen, a row alone or in company: the score is the same."""
    X, y, X_new, _ = curved
    base = FrozenEstimator(LogisticRegression().fit(X_new, curved[3]))
    there = y != 3
    est = AutoTrust(base, budget="fast", cv=3, random_state=0).fit(X[there], y[there])
    rows = X_new[est.predict(X_new) == 3][:20]
    together = est.score_samples(np.concatenate([rows, 50 * rows]))[:20]
    alone = np.concatenate([est.score_samples(row[None]) for row in rows])
    np.testing.assert_allclose(alone, together, rtol=1e-9)
    with_all = AutoTrust(base, budget="fast", cv=3, random_state=0).fit(X, y)
    rare = np.append(np.flatnonzero(there), np.flatnonzero(~there)[:1])
    logits = AutoTrust(LogisticRegression(), response_method="decision_function", budget="fast", cv=3, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AbstainWarning)
        assert np.isfinite(logits.fit(X[rare], y[rare]).score_samples(X_new)).all()
    assert np.isfinite(with_all.score_samples(X_new)).all()


@pytest.mark.parametrize("count", [2, 4])
def test_few_samples_a_class_are_no_worse_than_maximum_probability(count, rng):
    """Evidence of folds that saw a class less often, or never, would neither rank nor be calibrated."""
    off = []
    for _ in range(2):
        means = 0.75 * rng.normal(size=(200, 40))
        (X, y), few, (X_new, y_new) = (
            (means[y] + rng.normal(size=(len(y), 40)), y)
            for y in (np.repeat(np.arange(200), n) for n in (20, count, 20))
        )
        base = FrozenEstimator(LinearDiscriminantAnalysis().fit(X, y))
        est = AutoTrust(base, budget="fast", random_state=0).fit(*few)
        assert ratio(est, X_new, y_new) <= 1.02
        off.append(est.score_samples(X_new).mean() - est.score(X_new, y_new))
    assert abs(np.mean(off)) < 0.03


def test_same_seed_same_scores_and_pickles(fitted, curved):
    X, y, X_new, _ = curved
    again = AutoTrust(LogisticRegression(), cv=3, random_state=0).fit(X, y)
    np.testing.assert_array_equal(again.score_samples(X_new), fitted.score_samples(X_new))
    copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copy.score_samples(X_new), fitted.score_samples(X_new))


def test_the_report_ranks_within_folds():
    _, y, posterior = make_known_posterior(600, n_classes=4, separation=1.5, random_state=1)
    splits = [(np.setdiff1d(np.arange(600), test), test) for test in np.split(np.arange(600), [100, 350])]
    report = AutoTrust(FrozenEstimator(Posterior()), cv=splits, budget="fast").fit(np.log(posterior), y).report_
    correct, top = posterior.argmax(axis=1) == y, max_probability(posterior)
    areas = [aurc(correct[test], top[test]) for _, test in splits]
    assert report.baseline == pytest.approx(np.average(areas, weights=[100, 250, 250]), rel=1e-9)


@pytest.mark.parametrize(
    ("scorers", "message"),
    [
        (margin, "scorers must be a list"),
        ([margin, 3], r"scorers\[1\] must be a function"),
        ([lambda p: p], "scorer <lambda> must return one number a sample"),
    ],
)
def test_bad_scorers_are_named(scorers, message, curved):
    with pytest.raises((TypeError, ValueError), match=message):
        AutoTrust(LogisticRegression(), scorers=scorers, budget="fast", cv=2).fit(*curved[:2])


def test_nearest_samples_are_found_without_faiss(curved, monkeypatch):
    """Its comparison with every row would be half of the time where columns are few and rows many."""
    faiss = pytest.importorskip("faiss", reason="needs the faiss extra")
    monkeypatch.setattr(faiss, "index_factory", lambda *_: 1 / 0)
    est = AutoTrust(LogisticRegression(), budget="fast", cv=2, random_state=0).fit(*curved[:2])
    assert ("nearest neighbours", True) in [(name, used) for name, *_, used in est.report_.sources]


def test_a_scorer_that_knows_nothing_changes_nothing(curved):
    """NaN is "cannot be told": such a column is typical everywhere."""
    X, y, X_new, _ = curved
    options = {"budget": "fast", "cv": 2, "random_state": 0}
    silent = AutoTrust(LogisticRegression(), scorers=[lambda p: np.full(len(p), np.nan)], **options).fit(X, y)
    plain = AutoTrust(LogisticRegression(), **options).fit(X, y)
    np.testing.assert_allclose(silent.score_samples(X_new), plain.score_samples(X_new), atol=0.02)


def test_scorers_of_one_kind_have_names_of_their_own(curved):
    scorers = [NearestNeighbours(3), NearestNeighbours(30, measure="agreement")]
    est = AutoTrust(LogisticRegression(), scorers=scorers, budget="fast", cv=2, random_state=0).fit(*curved[:2])
    assert [name for name, *_ in est.report_.sources[:2]] == ["NearestNeighbours", "NearestNeighbours (2)"]


@pytest.mark.parametrize(("name", "value"), [("budget", "slow"), ("budget", -1), ("head_inputs", "features")])
def test_bad_parameters_are_named(name, value, curved):
    with pytest.raises(ValueError, match=name):
        AutoTrust(LogisticRegression(), **{name: value}).fit(*curved[:2])


def test_the_smallest_number_of_errors_is_learnt_from():
    _, _, posterior = make_known_posterior(300, n_classes=4, separation=3.0, random_state=0)
    options = {"budget": "fast", "head_inputs": "confidence", "cv": 2, "random_state": 0}
    for errors in (MIN_ERRORS, MIN_ERRORS - 1):
        answer = posterior.argmax(axis=1)
        y = np.where(np.arange(300) < errors, (answer + 1) % 4, answer)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AbstainWarning)
            report = AutoTrust(FrozenEstimator(Posterior()), **options).fit(np.log(posterior), y).report_
        assert report.errors == errors
        assert bool(report.checks) == (errors == MIN_ERRORS)


def test_what_takes_no_time_is_tried_on_any_budget(curved, monkeypatch):
    monkeypatch.setattr(sources, "time", SimpleNamespace(monotonic=lambda: 0.0))
    est = AutoTrust(LogisticRegression(), scorers=[margin], head_inputs="confidence", budget=0, cv=2, random_state=0)
    X, y, *_ = curved
    report = est.fit(X[:150], y[:150]).report_
    assert [(name, used) for name, _, used in report.sources] == [("margin", True)]
    assert report.checks


def test_bars_end_when_the_work_does(curved, monkeypatch):
    bars = []

    @contextmanager
    def watched(total, description):
        steps = []
        yield steps.append
        bars.append((description, total, sum(steps)))

    monkeypatch.setattr(stack, "progress", watched)
    X, y, *_ = curved
    AutoTrust(LogisticRegression(), budget="fast", cv=2, random_state=0).fit(X[:150], y[:150])
    assert [description for description, *_ in bars] == ["asking sources"]
    assert all(total == done > 0 for _, total, done in bars)


class Particular(LogisticRegression):
    """Refuses values beyond those of its training data."""

    def predict_proba(self, X):
        if np.abs(X).max() > 4.5:
            raise RuntimeError("a sensor is broken")
        return super().predict_proba(X)


def test_a_classifier_that_refuses_noise_is_asked_without_it(curved):
    X, y, *_ = curved
    X = X / (np.abs(X).max() / 4.4)
    report = AutoTrust(Particular(), cv=3, random_state=0).fit(X, y).report_
    assert report.chosen == "stack"
    assert not any("noise" in check.name for check in report.checks)
    usual = AutoTrust(LogisticRegression(), cv=3, random_state=0).fit(X, y).report_
    assert sum("noise" in check.name for check in usual.checks) == 3

"""Where correctness labels come from: folds, frozen classifiers, training data."""

import numpy as np
import pytest
from joblib import parallel_config
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier, StackingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut, ShuffleSplit, StratifiedKFold, cross_val_predict
from sklearn.svm import SVC, LinearSVC
from small_problems import Given

import abstain
from abstain import CorrectnessTrust, RelU, SelectiveClassifier, TargetCoverage, TrustHead, linear_head
from abstain.asking import ask
from abstain.asking import cross_fit as crossing
from abstain.asking.cross_fit import Question
from abstain.decisions import ClassifierAnswer
from abstain.heads.confidence import RecalibratedConfidence
from abstain.outputs import ClassOutputs
from abstain.scores import max_logit
from abstain.selective.outcomes import Outcome
from abstain.warnings import FewErrorsWarning, FlawlessWarning, RareClassWarning, RefitWarning


def cross_fit(estimator, X, y, cv=3, **options):
    classes = np.unique(y)
    codes = np.searchsorted(classes, y)
    fit = crossing.cross_fit(estimator, X, y, codes, Question("predict_proba", classes, cv, 0, **options))
    rule = ClassifierAnswer()
    answer = rule.answer(fit.outputs)
    outcome = Outcome(fit.outputs, answer, codes[fit.rows], rule.loss(answer, codes[fit.rows]))
    return fit.estimator, outcome, fit.folds


def test_outcome_by_hand():
    outputs = ClassOutputs([[0.7, 0.2, 0.1], [0.3, 0.4, 0.3]], answer=[0, 0])
    codes = np.array([0, 2])
    outcome = Outcome(outputs, outputs.answer, codes, ClassifierAnswer().loss(outputs.answer, codes))
    assert outcome.correct.tolist() == [True, False]
    np.testing.assert_allclose(outcome.tcp, [0.7, 0.3])
    np.testing.assert_allclose(outcome.tcp_ratio, [1.0, 0.75])
    assert outcome.target("label").tolist() == [0, 2]
    assert outcome[[1]].correct.tolist() == [False]
    assert outcome.target("outcome") is outcome


def test_held_out_is_cross_val_predict(problem):
    X, y = problem[:2]
    _, outcome, folds = cross_fit(LogisticRegression(), X, y)
    expected = cross_val_predict(LogisticRegression(), X, y, cv=folds.splits, method="predict_proba")
    np.testing.assert_allclose(outcome.outputs.proba, expected)


def test_deployed_estimator_is_refitted_on_all(problem):
    X, y = problem[:2]
    estimator, _, _ = cross_fit(LogisticRegression(), X, y)
    np.testing.assert_allclose(estimator.coef_, LogisticRegression().fit(X, y).coef_)


def test_training_outcomes_flatter_a_forest(problem):
    X, y = problem[:2]
    forest = RandomForestClassifier(30, random_state=0)
    _, training, _ = cross_fit(forest, X, y, training=True)
    _, held_out, _ = cross_fit(forest, X, y)
    assert training.correct.mean() > 0.99
    assert held_out.correct.mean() < 0.9
    with pytest.warns(FewErrorsWarning, match="not enough to learn from"):
        model = CorrectnessTrust(forest, outcomes="training", cv=2, random_state=0).fit(X, y)
    assert isinstance(model.scorer_, RecalibratedConfidence)


@pytest.mark.parametrize(
    "around",
    [
        lambda clf: abstain.SelectiveClassifier(clf),
        lambda clf: abstain.SteepSlopeTrust(clf, random_state=0),
        lambda clf: abstain.CostSensitiveClassifier(clf, 1 - np.eye(4)),
        lambda clf: abstain.AutoCalibrator(clf, random_state=0),
        lambda clf: abstain.calibration.Temperature(clf),
    ],
)
@pytest.mark.filterwarnings("ignore::abstain.warnings.FewErrorsWarning", "ignore::abstain.warnings.CoverageWarning")
def test_a_frozen_classifier_without_errors_may_have_seen_them(around, problem):
    X, y, X_cal, y_cal = problem[:4]
    forest = RandomForestClassifier(30, random_state=0, bootstrap=False).fit(X, y)
    with pytest.warns(FlawlessWarning, match="RandomForestClassifier answers all of"):
        around(FrozenEstimator(forest)).fit(X, y)
    model = around(FrozenEstimator(forest)).fit(X_cal, y_cal)  # errors: no warning
    some = np.r_[:199]
    around(FrozenEstimator(forest)).fit(X[some], y[some])  # too few to wonder
    if hasattr(model, "fit_policy"):
        with pytest.warns(FlawlessWarning, match="was trained on"):
            model.fit_policy(X, y, abstain.TargetRisk(0.2))


@pytest.mark.filterwarnings("ignore::abstain.warnings.CoverageWarning")
def test_answers_that_cost_nothing_are_not_right_for_that(problem):
    X, y, X_cal, y_cal, X_new, y_new = problem
    clf = FrozenEstimator(LogisticRegression().fit(X, y))
    cost = np.ones((4, 4)) - np.eye(4)
    cost[:, 0] = 0.0  # whatever it is, the first answer is free
    est = abstain.CostSensitiveClassifier(clf, cost).fit(X_cal, y_cal)
    est.fit_policy(X_new, y_new, abstain.TargetCoverage(0.8))
    assert est.score(X_new, y_new) < 0.9


def test_frozen_is_used_as_it_is(problem):
    X, y, X_cal, y_cal = problem[:4]
    base = LogisticRegression().fit(X, y)
    estimator, outcome, _ = cross_fit(FrozenEstimator(base), X_cal, y_cal)
    assert estimator.estimator is base
    np.testing.assert_array_equal(outcome.outputs.proba, base.predict_proba(X_cal))


def test_frozen_needs_no_second_sample_of_a_class(problem):
    """A thousand classes with one sample each: folds are by correctness, not by class."""
    X = np.eye(60) + np.random.default_rng(0).normal(scale=0.5, size=(60, 60))
    frozen = linear_head(np.eye(60))
    _, outcome, folds = cross_fit(frozen, X, np.arange(60), cv=5)
    errors = [(~outcome.correct[test]).sum() for _, test in folds]
    assert sum(errors) > 5
    assert max(errors) - min(errors) <= 1
    assert SelectiveClassifier(frozen).fit(X[:1], np.array([0])).decide(X).shape == (60,)


def test_frozen_may_know_more_classes_but_not_fewer(problem):
    X, y, X_cal, y_cal = problem[:4]
    frozen = FrozenEstimator(LogisticRegression().fit(X, y))
    some = y_cal < 3
    model = SelectiveClassifier(frozen).fit(X_cal[some], y_cal[some])
    assert model.classes_.tolist() == [0, 1, 2, 3]
    narrow = FrozenEstimator(LogisticRegression().fit(X[y < 3], y[y < 3]))
    with pytest.raises(ValueError, match=r"not among the classes.*\[3\]"):
        SelectiveClassifier(narrow).fit(X_cal, y_cal)


def test_fitted_but_unfrozen_is_warned_about_once(problem):
    X, y = problem[:2]
    with pytest.warns(RefitWarning, match="FrozenEstimator") as caught:
        SelectiveClassifier(LogisticRegression().fit(X, y), cv=2).fit(X, y)
    assert len([w for w in caught if w.category is RefitWarning]) == 1


def test_a_class_missing_from_a_fold_counts_as_wrong(problem):
    X, y = problem[:2]
    keep = (y != 3) | (np.cumsum(y == 3) == 1)  # a single sample of class 3
    with pytest.warns(RareClassWarning, match=r"1 classes \(3\) are missing from a training fold, so that 1 held-out"):
        estimator, outcome, _ = cross_fit(LogisticRegression(), X[keep], y[keep])
    alone = np.flatnonzero(y[keep] == 3)[0]
    assert outcome.tcp[alone] == 0.0
    assert not outcome.correct[alone]
    assert estimator.predict_proba(X).shape[1] == 4
    np.testing.assert_allclose(outcome.outputs.proba.sum(axis=1), 1)


def test_a_fold_with_one_class_is_refused():
    X = np.arange(10.0)[:, None]
    y = np.r_[np.zeros(9), 1]
    with pytest.warns(RareClassWarning), pytest.raises(ValueError, match="1 class only"):
        cross_fit(LogisticRegression(), X, y)


def test_one_sample_of_each_class_is_refused():
    with pytest.raises(ValueError, match="n_samples=3"):
        cross_fit(LogisticRegression(), np.eye(3), np.arange(3))


@pytest.mark.parametrize(
    "cv", [StratifiedKFold(2), ShuffleSplit(1, test_size=0.4, random_state=0)], ids=["folds", "one"]
)
def test_splitters(problem, cv):
    X, y = problem[:2]
    model = CorrectnessTrust(cv=cv, guard=None, random_state=0).fit(X, y)
    assert model.report_.n == (len(y) if isinstance(cv, StratifiedKFold) else 240)
    assert hasattr(model.scorer_, "layers_")


def test_iterable_of_splits(problem):
    X, y = problem[:2]
    groups = np.arange(len(y)) % 3
    splits = list(LeaveOneGroupOut().split(X, y, groups))
    _, outcome, folds = cross_fit(LogisticRegression(), X, y, cv=splits)
    assert len(folds) == 3
    assert np.isfinite(outcome.outputs.proba).all()


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_joblib_backends_change_nothing(problem, backend):
    X, y = problem[:2]
    _, expected, _ = cross_fit(LogisticRegression(), X, y)
    with parallel_config(backend=backend, n_jobs=2):
        _, outcome, _ = cross_fit(LogisticRegression(), X, y)
    np.testing.assert_array_equal(outcome.outputs.proba, expected.outputs.proba)


def test_missing_methods_are_named(problem):
    X, y = problem[:2]
    with pytest.raises(TypeError, match=r"LinearSVC has no predict_proba.*CalibratedClassifierCV"):
        SelectiveClassifier(LinearSVC(), cv=2).fit(X, y)
    with pytest.raises(TypeError, match="RandomForestClassifier has no decision_function"):
        SelectiveClassifier(RandomForestClassifier(), cv=2, response_method="decision_function").fit(X, y)


def test_binary_decision_function_is_the_log_odds(problem):
    X, y = problem[:2]
    y = y % 2
    by_logits = SelectiveClassifier(LogisticRegression(), cv=2, response_method="decision_function", random_state=0)
    by_proba = SelectiveClassifier(LogisticRegression(), cv=2, random_state=0)
    np.testing.assert_allclose(by_logits.fit(X, y).predict_proba(X), by_proba.fit(X, y).predict_proba(X), rtol=1e-9)


def test_bad_choices_are_named(problem):
    X, y = problem[:2]
    with pytest.raises(ValueError, match="outcomes must be one of"):
        CorrectnessTrust(outcomes="train").fit(X, y)
    with pytest.raises(ValueError, match="response_method must be one of"):
        SelectiveClassifier(response_method="logits").fit(X, y)


class Backwards(ClassifierMixin, BaseEstimator):
    """A classifier whose columns stand in the order of its own ``classes_``, not sorted."""

    def fit(self, X, y):
        self.model_ = LogisticRegression().fit(X, y)
        self.classes_ = self.model_.classes_[::-1].tolist()
        return self

    def predict_proba(self, X):
        return self.model_.predict_proba(X)[:, ::-1].astype(np.float32)


def test_unsorted_classes_are_put_in_order(problem):
    X, y, X_cal, y_cal, _, _ = problem
    plain = SelectiveClassifier(FrozenEstimator(LogisticRegression().fit(X, y)), cv=2, random_state=0).fit(X_cal, y_cal)
    other = SelectiveClassifier(FrozenEstimator(Backwards().fit(X, y)), cv=2, random_state=0).fit(X_cal, y_cal)
    np.testing.assert_array_equal(other.predict(X_cal), plain.predict(X_cal))
    assert other.policy_.certificate_.errors == plain.policy_.certificate_.errors
    crossed = SelectiveClassifier(Backwards(), cv=2, random_state=0).fit(X, y)
    assert crossed.score(X_cal, y_cal) == pytest.approx(plain.score(X_cal, y_cal), abs=0.02)


def test_partial_folds_of_a_frozen_classifier(problem):
    X, y, X_cal, y_cal, X_test, _y_test = problem
    split = ShuffleSplit(1, test_size=0.2, random_state=0)
    frozen = FrozenEstimator(LogisticRegression().fit(X, y))
    for scorer in (TrustHead(random_state=0), RelU()):
        model = SelectiveClassifier(frozen, scorer, TargetCoverage(0.5), cv=split, random_state=0).fit(X_cal, y_cal)
        assert model.report_.n == len(y_cal)  # all of them are held out, and the splitter draws at random
        assert model.accept(X_test).mean() == pytest.approx(0.5, abs=0.1)


def test_logits_of_two_classes_are_symmetric(problem):
    X, y, X_cal, y_cal, _, _ = problem
    frozen = FrozenEstimator(LogisticRegression().fit(X, y % 2))
    model = SelectiveClassifier(frozen, max_logit, cv=2, response_method="decision_function").fit(X_cal, y_cal % 2)
    np.testing.assert_allclose(model.score_samples(X_cal), np.abs(frozen.decision_function(X_cal)) / 2)


def test_what_an_estimator_returns_is_checked(problem):
    X, y = problem[:2]
    with pytest.raises(ValueError, match=r"SVC.decision_function must return one column for each of the 4 classes"):
        SelectiveClassifier(SVC(decision_function_shape="ovo"), cv=2, response_method="decision_function").fit(X, y)

    class Holes(Backwards):
        def predict_proba(self, X):
            return super().predict_proba(X) * np.nan

    with pytest.raises(ValueError, match=r"Holes.predict_proba has NaN"):
        SelectiveClassifier(Holes(), cv=2).fit(X, y)


def test_a_stack_without_a_final_estimator_is_welcome(problem):
    X, y = problem[:2]
    stack = StackingClassifier([("a", LogisticRegression()), ("b", LogisticRegression(C=0.1))], cv=2)
    assert SelectiveClassifier(stack, cv=2).fit(X, y).decide(X).shape == y.shape


@pytest.mark.parametrize("cv", [1, 0, True, [], iter([])])
def test_bad_cv_is_named(problem, cv):
    with pytest.raises(ValueError, match="cv"):
        SelectiveClassifier(cv=cv).fit(*problem[:2])


def test_frozen_but_not_fitted_is_named(problem):
    with pytest.raises(ValueError, match="frozen but not fitted"):
        SelectiveClassifier(FrozenEstimator(LogisticRegression())).fit(*problem[:2])


def test_sparse_data_go_through_in_few_pieces():
    n = 6000
    X = csr_array((np.ones(10 * n), np.arange(10 * n) % 100_000, 10 * np.arange(n + 1)), shape=(n, 100_000))
    assert len(list(ask.data_blocks(X))) == 1


@pytest.mark.parametrize("frozen", [False, True])
def test_folds_may_be_masks(frozen, problem):
    X, y, *_ = problem
    base = FrozenEstimator(LogisticRegression().fit(X, y)) if frozen else LogisticRegression()
    splits = list(StratifiedKFold(3, shuffle=True, random_state=0).split(X, y))
    masks = [tuple(np.isin(np.arange(len(y)), part) for part in split) for split in splits]
    scores = [CorrectnessTrust(base, cv=cv, random_state=0).fit(X, y).score_samples(X) for cv in (splits, masks)]
    np.testing.assert_array_equal(*scores)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_answer_is_asked_for_where_outputs_tie(scale, rng):
    """A classifier that answers its largest output is asked about ties, up to rounding, and about nothing else."""
    asked = []

    class Asked(Given):
        def predict(self, X):
            asked.extend(X.tolist())
            return np.full(len(X), 2)

    logits = scale * rng.permuted(np.tile([3.0, 2.999999, -1.0], (60, 1)), axis=1)
    tied = np.arange(60) % 7 == 0
    logits[tied] = scale * np.array([3.0, 3.0 - 1e-15, 1.0])
    base = Asked(classes=np.arange(3)).fit(None, None)
    answer = ask.ask(base, logits, "decision_function", np.arange(3), True).answer
    np.testing.assert_array_equal(answer, np.where(tied, 2, logits.argmax(axis=1)))
    assert asked == logits[tied].tolist()


@pytest.mark.parametrize("n_columns", [2, 4])
def test_outputs_need_one_column_for_each_class(n_columns):
    base = Given(classes=np.arange(3)).fit(None, None)
    with pytest.raises(ValueError, match=r"one column for each of the 3 classes, shape \(5, 3\); got \(5, "):
        ask.ask(base, np.full((5, n_columns), 1 / n_columns), "predict_proba", np.arange(3), True)


def test_one_against_one_is_no_logit_even_where_there_are_as_many(problem):
    X, y = problem[0][problem[1] < 3], problem[1][problem[1] < 3]  # three classes are three pairs
    base = SVC(decision_function_shape="ovo").fit(X, y)
    with pytest.raises(ValueError, match="One-against-one decisions are not logits"):
        ask.ask(base, X, "decision_function", np.arange(3), None)


@pytest.mark.parametrize("n", range(1, 6))
def test_wide_rows_go_through_in_pieces_and_come_back_in_order(n):
    class First(BaseEstimator):
        classes_ = np.arange(2)

        def predict_proba(self, X):
            return np.column_stack([X[:, 0], 1 - X[:, 0]])

    X = np.broadcast_to(np.linspace(0.6, 0.1, n)[:, None], (n, 1 << 21))  # a row or two a piece, and no memory
    values, answer, _ = ask.ask(First(), X, "predict_proba", np.arange(2), True)
    np.testing.assert_array_equal(values[:, 0], X[:, 0])
    np.testing.assert_array_equal(answer, X[:, 0] < 0.5)

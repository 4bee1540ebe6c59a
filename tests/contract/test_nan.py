"""Missing values: taken where the classifier takes them, and abstained on, row by row, where it does not (M2)."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import get_tags
from small_problems import attempt, overlapping, quiet

import abstain

pytestmark = pytest.mark.filterwarnings("ignore::abstain.warnings.AbstainWarning")

NAN = float("nan")
TAKES_NAN = {
    "boosting": HistGradientBoostingClassifier(max_iter=8),
    "forest": RandomForestClassifier(10, random_state=0),
    "tree": DecisionTreeClassifier(max_depth=4, random_state=0),
    "imputer": make_pipeline(SimpleImputer(), LogisticRegression()),
}
METHODS = {
    "CorrectnessTrust": abstain.CorrectnessTrust(cv=2, random_state=0),
    "SteepSlopeTrust": abstain.SteepSlopeTrust(cv=2, random_state=0),
    "TCPTrust": abstain.TCPTrust(cv=2, random_state=0),
    "FocalTrust": abstain.FocalTrust(cv=2, random_state=0),
    "confidence": abstain.CorrectnessTrust(cv=2, head_inputs="confidence", random_state=0),
    "default": abstain.SelectiveClassifier(cv=2),
    "Mahalanobis": abstain.SelectiveClassifier(scorer=abstain.RelativeMahalanobis(), cv=2),
    "neighbours": abstain.SelectiveClassifier(scorer=abstain.NearestNeighbours(3), cv=2),
    "SIRC": abstain.SelectiveClassifier(scorer=abstain.SIRC(), cv=2),
}


def holes(n=300, seed=0, share=0.1):
    X, y = overlapping(n, seed=seed)
    X[np.random.default_rng(seed).random(X.shape) < share] = NAN
    return X, y


@pytest.mark.parametrize("base", TAKES_NAN)
@pytest.mark.parametrize("method", METHODS)
def test_missing_values_that_the_classifier_takes_are_taken(method, base):
    X, y = holes()
    fitted = quiet(clone(METHODS[method]).set_params(estimator=clone(TAKES_NAN[base])).fit, X, y)
    np.testing.assert_array_equal(fitted.predict(X), fitted.estimator_.predict(X))
    assert fitted.accept(X).mean() > 0.3
    whole = ~np.isnan(X).any(axis=1)
    assert np.isfinite(fitted.score_samples(X)[whole]).all()
    assert get_tags(fitted).input_tags.allow_nan == get_tags(fitted.estimator_).input_tags.allow_nan


@pytest.mark.parametrize("base", ["boosting", "imputer"])
def test_auto_trust_takes_missing_values_that_the_classifier_takes(base):
    X, y = holes(200)
    clf = abstain.AutoTrust(clone(TAKES_NAN[base]), budget="fast", cv=2, random_state=0)
    fitted = quiet(clf.fit, X, y)
    np.testing.assert_array_equal(fitted.predict(X), fitted.estimator_.predict(X))
    assert fitted.accept(X).mean() > 0.3


@pytest.mark.parametrize("frozen", [False, True])
def test_missing_values_in_a_frame_are_taken(frozen):
    pandas = pytest.importorskip("pandas")
    X, y = holes()
    frame = pandas.DataFrame(X, columns=list("abcd"))
    base = HistGradientBoostingClassifier(max_iter=8)
    base = FrozenEstimator(base.fit(frame, y)) if frozen else base
    fitted = quiet(abstain.CorrectnessTrust(base, cv=2, random_state=0).fit, frame, y)
    np.testing.assert_array_equal(fitted.predict(frame), fitted.estimator_.predict(frame))


# rows that the classifier refuses


BAD = 3


def fitted_and_data(method="default", base=None):
    X, y = overlapping(300)
    clf = clone(METHODS[method]).set_params(estimator=base or LogisticRegression())
    fitted = quiet(clf.fit, X[:200], y[:200])
    new = X[200:].copy()
    new[BAD, 1] = NAN
    return fitted, X[200:], new, y[200:]


@pytest.mark.parametrize("method", METHODS)
def test_one_unreadable_row_costs_that_row_alone(method):
    fitted, clean, new, _ = fitted_and_data(method)
    others = np.arange(100) != BAD
    decided, accepted, score = fitted.decide(new), fitted.accept(new), fitted.score_samples(new)
    assert decided[BAD] == -1
    assert not accepted[BAD]
    assert np.isnan(score[BAD])
    np.testing.assert_array_equal(decided[others], fitted.decide(clean)[others])
    np.testing.assert_array_equal(accepted[others], fitted.accept(clean)[others])
    np.testing.assert_allclose(score[others], fitted.score_samples(clean)[others], rtol=1e-6, atol=1e-9)
    evidence = fitted.evaluate(new)
    assert evidence.answer[BAD] == -1
    assert np.isnan(evidence.score[BAD])
    assert (evidence.answer[others] >= 0).all()
    with pytest.raises(ValueError, match="NaN"):
        fitted.predict(new)


@pytest.mark.parametrize("method", ["default", "CorrectnessTrust"])
def test_calibration_goes_on_without_rows_that_cannot_be_scored(method):
    fitted, clean, new, y = fitted_and_data(method)
    others = np.arange(100) != BAD
    quiet(fitted.fit_policy, new, y, abstain.TargetCoverage(0.5))
    certificate = fitted.policy_.certificate_
    assert certificate.unscored == 1
    decided = fitted.decide(clean)
    assert certificate.accepted == fitted.accept(new).sum()
    quiet(fitted.fit_policy, clean, y, abstain.TargetRisk(0.3))
    assert fitted.policy_.certificate_.unscored == 0
    assert decided[others].shape == (99,)


CONTAINERS = {
    "list": lambda X: X.tolist(),
    "float32": lambda X: X.astype("float32"),
    "object": lambda X: np.where(np.isnan(X), None, X.astype(object)),
    "frame": lambda X: pytest.importorskip("pandas").DataFrame(X),
    "nullable frame": lambda X: pytest.importorskip("pandas").DataFrame(X).convert_dtypes(),
    "mixed frame": lambda X: pytest.importorskip("pandas").DataFrame(X).astype({0: "float32"}),
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_unreadable_rows_of_any_container(kind):
    fitted, clean, new, _ = fitted_and_data()
    decided = fitted.decide(CONTAINERS[kind](new))
    assert decided[BAD] == -1
    others = np.arange(100) != BAD
    np.testing.assert_array_equal(decided[others], fitted.decide(clean)[others])


@pytest.mark.parametrize("base", ["frozen", "pipeline", "probe", "default"])
def test_unreadable_rows_of_any_classifier(base):
    X, y = overlapping(100, seed=4)
    bases = {
        "frozen": FrozenEstimator(LogisticRegression().fit(X, y)),
        "pipeline": make_pipeline(StandardScaler(), LogisticRegression()),
        "probe": abstain.LinearProbe(),
    }
    fitted, _, new, _ = fitted_and_data(base=bases.get(base))
    if base == "default":
        fitted = quiet(abstain.SelectiveClassifier(cv=2).fit, X, y)
    assert fitted.decide(new)[BAD] == -1
    assert (fitted.decide(new) != -1).mean() > 0.5


@pytest.mark.torch
@pytest.mark.parametrize("name", ["SYNCClassifier", "SelfAdaptiveClassifier"])
def test_unreadable_rows_of_networks(name):
    pytest.importorskip("torch")
    X, y = overlapping(200)
    training = abstain.Training(epochs=2, device="cpu")
    fitted = quiet(getattr(abstain, name)(hidden=(8,), warm_up_epochs=1, training=training, random_state=0).fit, X, y)
    X[BAD, 0] = NAN
    assert fitted.decide(X)[BAD] == -1
    assert (fitted.decide(X) != -1).any()


@pytest.mark.parametrize("rows", [1, 7])
def test_a_batch_of_unreadable_rows_is_abstained_on(rows):
    fitted, _, _, _ = fitted_and_data()
    new = np.full((rows, 4), NAN)
    assert fitted.decide(new).tolist() == [-1] * rows
    assert not fitted.accept(new).any()
    assert np.isnan(fitted.score_samples(new)).all()
    assert fitted.evaluate(new).answer.tolist() == [-1] * rows


@pytest.mark.filterwarnings("ignore:invalid value encountered in reduce")  # of scikit-learn's own check
def test_infinite_values_are_treated_as_missing_ones():
    fitted, _, new, _ = fitted_and_data()
    new[BAD, 1] = np.inf
    new[5, 0] = -np.inf
    assert fitted.decide(new)[[BAD, 5]].tolist() == [-1, -1]


@pytest.mark.parametrize("labels", [["a", "b"], [1.0, 2.0], [False, True], [-1, 1]], ids=str)
def test_unreadable_rows_with_any_labels(labels):
    X, y = overlapping(200)
    fitted = quiet(abstain.SelectiveClassifier(LogisticRegression(), cv=2).fit, X, np.array(labels)[y])
    X[BAD, 0] = NAN
    label, sentinel = fitted.decide(X)[BAD], fitted.abstain_label_
    assert label == sentinel or (label != label and sentinel != sentinel)


def test_unreadable_rows_behind_pipelines_and_searches():
    X, y = overlapping(300)
    pipeline = make_pipeline(StandardScaler(), abstain.SelectiveClassifier(LogisticRegression(), cv=2))
    search = GridSearchCV(pipeline, {"selectiveclassifier__policy": [abstain.TargetCoverage(0.8)]}, cv=2)
    new = X[200:].copy()
    new[BAD, 0] = NAN
    for model in (pipeline, search):
        quiet(model.fit, X[:200], y[:200])
        assert abstain.decide(model, new)[BAD] == -1
        assert abstain.evaluate(model, new).answer[BAD] == -1
        assert quiet(abstain.fit_policy, model, new, y[200:]).certificate_.unscored == 1


class SometimesNaN(ClassifierMixin, BaseEstimator):
    """Classifier that takes anything, and answers NaN where it does not know."""

    def fit(self, X, y):
        self.model_ = LogisticRegression().fit(np.nan_to_num(X), y)
        self.classes_ = self.model_.classes_
        return self

    def predict_proba(self, X):
        proba = self.model_.predict_proba(np.nan_to_num(X))
        proba[np.isnan(X).any(axis=1)] = NAN
        return proba

    def predict(self, X):
        return self.model_.predict(np.nan_to_num(X))


def test_probabilities_that_are_missing_are_abstained_on():
    fitted, _, new, _ = fitted_and_data(base=SometimesNaN())
    assert fitted.decide(new)[BAD] == -1
    assert fitted.evaluate(new).answer[BAD] == -1
    assert (fitted.decide(new) != -1).mean() > 0.5


def test_scores_that_are_missing_are_abstained_on():
    def patchy(proba):
        score = proba.max(axis=1)
        score[score > 0.99] = NAN
        return score

    X, y = overlapping(300, gap=3.0)
    fitted = quiet(abstain.SelectiveClassifier(LogisticRegression(), patchy, cv=2).fit, X, y)
    missing = np.isnan(fitted.score_samples(X))
    assert missing.any()
    assert (fitted.decide(X)[missing] == -1).all()
    quiet(fitted.fit_policy, X, y)
    assert fitted.policy_.certificate_.unscored == missing.sum()


POLICIES = [
    abstain.TargetRisk(0.3),
    abstain.TargetCoverage(0.5),
    abstain.TargetCoverage(1.0),
    abstain.RejectCost(0.3),
    abstain.FixedThreshold(-np.inf),
    abstain.FixedThreshold(0.2),
]


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_policies_count_missing_scores_and_never_accept_them(policy):
    rng = np.random.default_rng(0)
    score = rng.random(400)
    correct = rng.random(400) < 0.6 + 0.4 * score
    score[:10] = NAN
    fitted = quiet(clone(policy).fit, score, correct)
    accepted = fitted.accept(score)
    assert not accepted[:10].any()
    assert accepted[10:].any()
    assert fitted.certificate_.unscored == 10
    assert fitted.certificate_.accepted == accepted.sum()
    assert fitted.accept([NAN, 10.0]).tolist() == [False, True]


@pytest.mark.parametrize("policy", [abstain.TargetRisk(0.3), abstain.TargetCoverage(0.5)], ids=repr)
def test_scores_that_are_all_missing_are_never_accepted(policy):
    fitted, refusal = attempt(clone(policy).fit, np.full(50, NAN), np.ones(50, bool))
    assert "score" in refusal if fitted is None else not fitted.accept([0.5, NAN]).any()

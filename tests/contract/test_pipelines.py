"""Pipelines with samplers, and displays and scorers that reach through pipelines and ask once (M4)."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from small_problems import Costly, Sampler, SamplerPipeline, overlapping, quiet

import abstain
from abstain.metrics import aurc, make_selective_scorer
from abstain.testing import CountingClassifier

pytestmark = pytest.mark.filterwarnings("ignore::abstain.warnings.AbstainWarning")


def selective():
    return abstain.SelectiveClassifier(LogisticRegression(), policy=abstain.TargetCoverage(0.7), cv=2)


STEPS = {
    "sampler": [Sampler()],
    "scaler, sampler": [StandardScaler(), Sampler()],
    "sampler, scaler": [Sampler(), StandardScaler()],
    "two samplers": [Sampler(), StandardScaler(), Sampler()],
    "passthrough": ["passthrough", Sampler()],
    "None": [None, StandardScaler()],
}


def sampled(name, final=None):
    steps = [*STEPS[name], final or selective()]
    return SamplerPipeline([(f"step{i}", step) for i, step in enumerate(steps)])


@pytest.mark.parametrize("name", STEPS)
def test_samplers_before_the_classifier_are_left_out(name):
    X, y = overlapping(300)
    model = quiet(sampled(name).fit, X[:200], y[:200])
    inner, seen = model.steps[-1][1], model._before(X[200:])
    np.testing.assert_array_equal(abstain.decide(model, X[200:]), inner.decide(seen))
    np.testing.assert_array_equal(abstain.evaluate(model, X[200:]).score, inner.score_samples(seen))
    policy = quiet(abstain.fit_policy, model, X[200:], y[200:], abstain.TargetCoverage(0.5))
    assert policy is inner.policy_
    assert policy.certificate_.n == 100


@pytest.mark.filterwarnings("ignore:Scoring failed", "ignore:One or more of the test scores")
@pytest.mark.parametrize("name", ["sampler", "scaler, sampler"])
def test_samplers_inside_pipelines_and_searches_are_left_out(name):
    X, y = overlapping(300)
    nested = Pipeline([("scale", FunctionTransformer()), ("inner", sampled(name))])
    search = GridSearchCV(sampled(name), {f"step{len(STEPS[name])}__policy": [abstain.TargetCoverage(0.6)]}, cv=2)
    for model in (nested, search):
        quiet(model.fit, X[:200], y[:200])
        decided = abstain.decide(model, X[200:])
        assert 0.2 < (decided != -1).mean() < 0.95
        assert quiet(abstain.fit_policy, model, X[200:], y[200:]).certificate_.n == 100


def test_passthrough_steps_of_scikit_learn_are_left_out():
    X, y = overlapping(300)
    model = Pipeline([("none", "passthrough"), ("scale", StandardScaler()), ("last", selective())])
    quiet(model.fit, X, y)
    assert abstain.decide(model, X).shape == y.shape
    alone = quiet(Pipeline([("last", selective())]).fit, X, y)
    np.testing.assert_array_equal(abstain.decide(alone, X), alone[-1].decide(X))


def test_a_pipeline_with_a_sampler_as_the_base():
    X, y = overlapping(300)
    base = sampled("sampler", LogisticRegression())
    base.__dict__["_estimator_type"] = "classifier"
    fitted = quiet(abstain.SelectiveClassifier(base, cv=2).fit, X, y)
    np.testing.assert_array_equal(fitted.predict(X), fitted.estimator_.predict(X))


def test_pipelines_of_imbalanced_learn():
    imblearn = pytest.importorskip("imblearn")
    sampler = imblearn.under_sampling.RandomUnderSampler(random_state=0)
    X, y = overlapping(300)
    model = quiet(imblearn.pipeline.make_pipeline(StandardScaler(), sampler, selective()).fit, X[:200], y[:200])
    scaled = model[0].transform(X[200:])
    np.testing.assert_array_equal(abstain.decide(model, X[200:]), model[-1].decide(scaled))
    np.testing.assert_array_equal(abstain.evaluate(model, X[200:]).answer, model[-1].evaluate(scaled).answer)
    quiet(abstain.fit_policy, model, X[200:], y[200:])


def in_pipeline(clf):
    return make_pipeline(StandardScaler(), clf)


def in_search(clf):
    pipeline = in_pipeline(clf)
    name = f"{pipeline.steps[-1][0]}__policy"
    return GridSearchCV(pipeline, {name: [abstain.TargetCoverage(0.8)]}, cv=2)


WRAPPERS = {"alone": lambda clf: clf, "pipeline": in_pipeline, "search": in_search}
DISPLAYS = ["RiskCoverageDisplay", "ReliabilityDisplay", "TrustHistogramDisplay"]


@pytest.mark.plot
@pytest.mark.parametrize("display", DISPLAYS)
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_displays_reach_through_pipelines_and_searches(display, wrapper):
    pytest.importorskip("matplotlib").use("agg")
    X, y = overlapping(300)
    model = quiet(WRAPPERS[wrapper](selective()).fit, X, y)
    drawn = getattr(abstain.metrics, display).from_estimator(model, X, y)
    assert drawn.figure_ is not None
    if display == "RiskCoverageDisplay":
        correct = model.predict(X) == y
        assert drawn.aurc == pytest.approx(aurc(correct, abstain.evaluate(model, X).score))
        assert drawn.operating_point[0] == pytest.approx((abstain.decide(model, X) != -1).mean())


@pytest.mark.plot
@pytest.mark.parametrize("display", DISPLAYS)
def test_displays_reach_past_samplers(display):
    pytest.importorskip("matplotlib").use("agg")
    X, y = overlapping(300)
    model = quiet(sampled("scaler, sampler").fit, X, y)
    assert getattr(abstain.metrics, display).from_estimator(model, X, y).figure_ is not None


@pytest.fixture
def counted():
    X, y = overlapping(200)
    clf = abstain.SelectiveClassifier(CountingClassifier(), cv=2)
    return quiet(clf.fit, X, y), X, y


@pytest.mark.plot
@pytest.mark.parametrize("display", DISPLAYS)
def test_displays_ask_the_classifier_once(counted, display):
    pytest.importorskip("matplotlib").use("agg")
    fitted, X, y = counted
    CountingClassifier.calls = 0
    getattr(abstain.metrics, display).from_estimator(fitted, X, y)
    assert CountingClassifier.calls == 1


def test_search_scorers_ask_the_classifier_once(counted):
    fitted, X, y = counted
    CountingClassifier.calls = 0
    make_selective_scorer(aurc)(fitted, X, y)
    assert CountingClassifier.calls == 1


def test_public_methods_ask_the_classifier_once(counted):
    fitted, X, y = counted
    for ask in (fitted.evaluate, fitted.decide, fitted.accept, lambda X: fitted.fit_policy(X, y)):
        CountingClassifier.calls = 0
        quiet(ask, X)
        assert CountingClassifier.calls == 1


def test_a_classifier_may_have_a_parameter_that_is_called_steps():
    """A number of steps to train for is no list of transformers."""

    class Trained(Costly):
        def __init__(self, steps=100):
            self.steps = steps
            self.cost = 1.0

    X, y = overlapping(120)
    fitted = quiet(abstain.SelectiveClassifier(Trained(), cv=2).fit, X, y)
    assert np.isfinite(fitted.score_samples(X)).all()

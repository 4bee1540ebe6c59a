"""Explanations of every selective classifier: true numbers, true reasons, tables."""

import re

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from small_problems import overlapping, quiet

import abstain
from abstain import CorrectnessTrust, SelectiveClassifier, TargetRisk
from abstain.scores import Mahalanobis, RelativeMahalanobis
from abstain.testing import CountingClassifier, all_public, small

pytestmark = pytest.mark.filterwarnings("ignore::abstain.warnings.AbstainWarning")

NEED_TORCH = {"SYNCClassifier", "SelectiveNetClassifier", "GamblersClassifier", "SelfAdaptiveClassifier"}


@pytest.mark.parametrize("kind", all_public(abstain.BaseSelectiveClassifier), ids=lambda kind: kind.__name__)
def test_numbers_are_those_of_the_other_methods(kind):
    if kind.__name__ in NEED_TORCH:
        pytest.importorskip("torch")
    X, y = overlapping(200, n_classes=3)
    est = quiet(small(kind).fit, X, y)
    told = est.explain(X[:30])
    evidence, decided = est.evaluate(X[:30]), est.accept(X[:30])
    assert [e.answer for e in told] == est.predict(X[:30]).tolist()
    np.testing.assert_array_equal([e.score for e in told], evidence.score)
    np.testing.assert_array_equal([e.accepted for e in told], decided)
    for e, proba, answer in zip(told, evidence.proba, evidence.answer, strict=True):
        assert e.probability == proba[answer]
        others = np.delete(proba, answer)
        assert e.rival_probability == others.max()
        assert e.rival != e.answer
        assert len(e.reasons) <= 3
        assert str(e.answer) in str(e)


def test_a_close_call_is_said_where_the_lead_is_small_and_only_there():
    X, y = overlapping(300, n_classes=3)
    est = SelectiveClassifier(cv=2).fit(X, y)
    for e in est.explain(X):
        assert any("close call" in reason for reason in e.reasons) == (e.probability - e.rival_probability < 0.3)


@pytest.mark.parametrize("scorer", ["head", "distance"])
def test_a_feature_does_what_the_reason_says(scorer):
    X, y = overlapping(600, gap=1.5)
    y[X[:, 3] > 1] = np.random.default_rng(0).integers(0, 2, (X[:, 3] > 1).sum())  # no answer can be trusted there
    est = {
        "head": CorrectnessTrust(LogisticRegression(), cv=3, guard=None, random_state=0),
        "distance": SelectiveClassifier(LogisticRegression(), RelativeMahalanobis(), cv=3),
    }[scorer].fit(X, y)
    found = 0
    for i, e in enumerate(est.explain(X[:200])):
        for reason in e.reasons:
            match = re.fullmatch(r"feature (\d) = (\S+), usually (\S+) \((\S+)\)", reason)
            if match is None:
                assert "close call" in reason
                continue
            found += 1
            j, effect = int(match[1]), float(match[4])
            assert float(match[2]) == pytest.approx(X[i, j], rel=1e-3)
            assert float(match[3]) == pytest.approx(np.median(X[:, j]), rel=1e-3)
            assert effect < 0
    assert found > 20


def test_features_have_the_names_that_the_transformers_give_them():
    pd = pytest.importorskip("pandas")
    X, y = overlapping(400)
    frame = pd.DataFrame(X, columns=["age", "height", "weight", "pulse"])
    y[X[:, 3] > 0.5] = np.random.default_rng(0).integers(0, 2, (X[:, 3] > 0.5).sum())
    for base in (LogisticRegression(), make_pipeline(StandardScaler(), LogisticRegression())):
        est = CorrectnessTrust(base, cv=2, guard=None, random_state=0).fit(frame, y)
        words = str(est.explain(frame))
        assert "pulse = " in words
        assert "feature" not in words


def test_many_features_are_one_reason():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 100))
    y = (X[:, 0] + rng.normal(size=400) > 0).astype(int)
    est = SelectiveClassifier(LogisticRegression(), Mahalanobis(), cv=2).fit(X, y)
    reasons = {reason.split(" (")[0] for e in est.explain(X) for reason in e.reasons}
    assert "its features" in reasons
    assert not any("=" in reason for reason in reasons)


def test_rows_that_cannot_be_scored_and_thresholds_that_accept_nothing_are_named():
    X, y = overlapping(300)
    est = SelectiveClassifier(LogisticRegression(), cv=2).fit(X[:150], y[:150])
    broken = X[:3].copy()
    broken[1] = np.nan
    told = est.explain(broken)
    assert "cannot be scored" in str(told[1])
    assert "cannot be scored" in told._repr_html_()
    assert not told[1].accepted
    assert "cannot" not in str(told[0])
    strict = est.fit_policy(X[150:], y[150:], TargetRisk(0.001))
    assert "no threshold met the target" in str(strict.explain(X[:1])[0])


def test_where_everything_is_accepted_nothing_failed():
    X, y = overlapping(300, gap=5)
    est = SelectiveClassifier(LogisticRegression(), cv=2).fit(X[:100], y[:100])
    est.fit_policy(X[100:], y[100:], TargetRisk(0.3))
    assert est.policy_.threshold_ == -np.inf
    assert "where every score is accepted" in str(est.explain(X[:1])[0])


def test_an_answer_for_its_cost_is_no_close_call():
    X, y = overlapping(600)
    est = abstain.CostSensitiveClassifier(LogisticRegression(), cost=[[0, 1], [9, 0]], cv=2).fit(X, y)
    told = est.explain(X)
    for e in told:
        lead = e.probability - e.rival_probability
        assert any("close call" in reason for reason in e.reasons) == (abs(lead) < 0.3)
        assert any("in spite of a likelier" in reason for reason in e.reasons) == (lead <= -0.3)
    assert any("in spite" in str(e) for e in told)


def test_rows_without_a_score_have_no_answer():
    X, y = overlapping(200)
    est = SelectiveClassifier(LogisticRegression(), cv=2).fit(X, np.where(y, "b", "a"))
    (e,) = est.explain(np.full((1, 4), np.nan))
    assert (e.answer, e.rival) == (None, None)


def test_a_hierarchy_names_the_node_that_it_answers():
    X, y = overlapping(1500, n_classes=4, gap=1.0)
    semantics = abstain.ClassSemantics.from_features(X[:500], y[:500])
    est = abstain.HierarchicalClassifier(LogisticRegression(), semantics, cv=2).fit(X[:500], y[:500])
    est.fit_policy(X[500:1000], y[500:1000], TargetRisk(0.35))
    decided, told = est.decide(X[1000:]), est.explain(X[1000:])
    level, proba = est.decide_level(X[1000:]), est.predict_proba(X[1000:])
    assert [e.accepted for e in told] == (level > 0).tolist()
    assert len(set(level[level > 0])) > 1  # classes, and nodes above them
    for e, label, p, depth in zip(told, decided, proba, level, strict=True):
        if depth:
            assert e.answer == label
            assert e.probability in p if label in est.classes_ else e.probability > p.max() - 1e-9


def test_evidence_without_a_single_score_is_evidence(monkeypatch):
    X, y = overlapping(300)
    est = SelectiveClassifier(LogisticRegression(), cv=2).fit(X, y)
    rows = X[:12].copy()
    rows[4:8] = np.nan
    assert type(est.evaluate(np.full((3, 4), np.nan))) is abstain.Evidence
    whole = est.evaluate(rows)

    class Silent(LogisticRegression):
        """Says nothing of rows below zero, instead of refusing them."""

        def predict_proba(self, X):
            return np.where(X[:, :1] < -50, np.nan, super().predict_proba(X))

    quiet_one = SelectiveClassifier(FrozenEstimator(Silent().fit(X, y))).fit(X, y)
    monkeypatch.setattr("abstain.selective.posthoc.data_blocks", lambda X: np.array_split(X, 3))
    rows = X[:12].copy()
    rows[4:8] = -100.0  # the whole of the second block
    found, told = quiet_one.evaluate(rows), quiet_one.explain(rows)
    assert type(found) is type(whole) is abstain.Evidence
    assert np.isnan(found.score).tolist() == [4 <= i < 8 for i in range(12)]
    assert [e.answer is None for e in told] == [4 <= i < 8 for i in range(12)]


def test_a_hierarchy_is_asked_once_for_an_explanation():
    X, y = overlapping(400, n_classes=4)
    semantics = abstain.ClassSemantics.from_features(X, y)
    est = abstain.HierarchicalClassifier(CountingClassifier(), semantics, cv=2).fit(X, y)
    CountingClassifier.calls = 0
    est.explain(X[:10])
    assert CountingClassifier.calls == 1


def test_groups_have_thresholds_of_their_own():
    X, y = overlapping(2000)
    groups = np.where(X[:, 2] > 0, "high", "low")
    est = SelectiveClassifier(LogisticRegression(), cv=2).fit(X[:500], y[:500])
    est.fit_policy(X[500:], y[500:], TargetRisk(0.2, groupwise=True), groups=groups[500:])
    told = est.explain(X[:50], groups=groups[:50])
    assert [e.threshold for e in told] == est.policy_.thresholds(50, groups[:50]).tolist()
    with pytest.raises(ValueError, match="groups"):
        est.explain(X[:5])


def test_tables_hold_what_is_printed_and_escape_it():
    X, y = overlapping(200)
    est = SelectiveClassifier(LogisticRegression(), cv=2).fit(X, np.where(y, "<b>", "a&b"))
    told = est.explain(X[:4])
    assert len(str(told).splitlines()) == 4
    html = told._repr_html_()
    assert html.count("<tr>") == 5
    assert "<b>" not in html
    assert "&lt;b&gt;" in html


def test_explanations_are_a_frame():
    pd = pytest.importorskip("pandas")
    X, y = overlapping(200)
    frame = pd.DataFrame(SelectiveClassifier(cv=2).fit(X, y).explain(X[:5]))
    assert frame.shape == (5, 9)
    assert frame.columns[0] == "answer"


def test_scores_say_what_they_mean():
    X, y = overlapping(400)
    by = {
        "P(correct)": [CorrectnessTrust(cv=2), abstain.AutoTrust(cv=2), abstain.TCPTrust(cv=2, calibrate=True)],
        "order": [SelectiveClassifier(cv=2), abstain.TCPTrust(cv=2, guard=None)],
    }
    for means, classifiers in by.items():
        for est in classifiers:
            assert est.fit(X, y).score_means_ == means
            shown = "P(correct)" if means == "P(correct)" else "score"
            assert f"), {shown} " in str(est.explain(X[:1])[0])
            assert f">{shown}</th>" in est.explain(X[:1])._repr_html_()


def test_explanations_are_reached_through_pipelines():
    X, y = overlapping(200)
    model = make_pipeline(StandardScaler(), SelectiveClassifier(cv=2)).fit(X, y)
    assert str(abstain.explain(model, X[:3])) == str(model[-1].explain(model[0].transform(X[:3])))


def test_the_diagram_of_a_fitted_classifier_shows_its_promise():
    X, y = overlapping(2000)
    est = SelectiveClassifier(LogisticRegression(), cv=2)
    assert "bound" not in est._repr_html_()
    est.fit(X[:500], y[:500]).fit_policy(X[500:], y[500:], TargetRisk(0.15))
    for html in (est._repr_html_(), est._repr_mimebundle_()["text/html"]):
        assert "TargetRisk(risk=0.15)" in html
        assert f"bound       {est.policy_.certificate_.bound:.4f}" in html


@pytest.mark.parametrize("method", [SelectiveClassifier, CorrectnessTrust, abstain.AutoTrust])
def test_the_classifier_is_asked_once(method):
    X, y = overlapping(300)
    est = method(CountingClassifier(), cv=2).fit(X, y)
    CountingClassifier.calls = 0
    est.explain(X[:10])
    assert CountingClassifier.calls == 1

"""The page: its numbers, what it says of the promise, and that it stands alone."""

import re

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from small_problems import overlapping, quiet

import abstain
from abstain.metrics import aurc, missing_coverage
from abstain.scores import max_probability

pytest.importorskip("matplotlib", reason="needs matplotlib: pip install '.[plot]'")


@pytest.fixture(scope="module")
def parts():
    X, y, _ = abstain.datasets.make_known_posterior(1500, n_classes=3, separation=1.2, random_state=0)
    names = np.array(["a<b", "cat", "dög"])
    return [(X[rows], names[y[rows]]) for rows in np.split(np.arange(1500), [400, 1000])]


@pytest.fixture(scope="module")
def fitted(parts):
    return abstain.SelectiveClassifier(LogisticRegression()).fit(*parts[0])


def text_of(path):
    return re.sub(r"<style>.*?</style>|<[^>]+>", " ", path.read_text(encoding="utf-8"))


def test_the_numbers_are_those_of_the_test_data(fitted, parts, tmp_path):
    est = fitted.fit_policy(*parts[1], abstain.TargetRisk(0.2, delta=0.1))
    X, y = parts[2]
    path = abstain.report(est, X, y, tmp_path / "page.html", groups=np.where(X[:, 0] > 0, "right", "left"))
    text = text_of(path)
    accept, correct = est.accept(X), est.predict(X) == y
    wrong = (~correct & accept).sum()
    for share in (correct.mean(), accept.mean(), wrong / accept.sum(), (~correct & ~accept).sum() / (~correct).sum()):
        assert f"{100 * share:.1f} %" in text
    ratio = aurc(correct, est.score_samples(X)) / aurc(correct, max_probability(est.predict_proba(X)))
    assert f"{ratio:.2f}" in text
    assert f"at most {100 * est.policy_.certificate_.bound:.1f} %, with confidence 90 %" in text
    assert "By group" in text
    assert "left" in text
    trusted = np.flatnonzero(~correct)[np.argmax(est.score_samples(X)[~correct])]
    first = re.search(r"most surprising errors.*?<tr><td>(\d+)</td>", path.read_text(encoding="utf-8"), re.S)
    assert int(first.group(1)) == trusted


def test_it_stands_alone_and_text_is_escaped(fitted, parts, tmp_path):
    page = abstain.report(fitted, *parts[2], tmp_path / "page.html", title="<b>me & you").read_text(encoding="utf-8")
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "<script" not in page
    assert "&lt;b&gt;me &amp; you" in page
    assert "<b>me" not in page
    assert "a&lt;b" in page
    assert page.count("data:image/png;base64,") == 1  # its scores are no probabilities
    trust = abstain.CorrectnessTrust(LogisticRegression(), cv=2).fit(*parts[0])
    page = abstain.report(trust, *parts[2], tmp_path / "trust.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 2


def test_what_is_not_guaranteed_is_said(fitted, parts, tmp_path):
    for policy, words in (
        (abstain.TargetCoverage(0.8, delta=0.1), "Share answered: at least"),
        (abstain.ConformalRisk(0.2), "Wrong answers among all samples: at most 20 %, on average"),
        (abstain.FixedThreshold(0.5, delta=0.1), "Errors among the answers: at most"),
    ):
        text = text_of(abstain.report(fitted.fit_policy(*parts[1], policy), *parts[2], tmp_path / "a.html"))
        assert words in text
        assert "Nothing is guaranteed" not in text
        assert "nan" not in text
    fresh = abstain.SelectiveClassifier(LogisticRegression()).fit(*parts[0])
    assert "seen in fit" in text_of(abstain.report(fresh, *parts[2], tmp_path / "b.html"))
    with pytest.warns(abstain.warnings.UncertifiedWarning):
        none = fitted.fit_policy(parts[1][0][:30], parts[1][1][:30], abstain.TargetRisk(0.01))
    text = text_of(abstain.report(none, *parts[2], tmp_path / "c.html"))
    assert "Nothing is guaranteed" in text
    assert "none" in text  # of the answers, of which there are none


def test_pipelines_missing_values_and_failures(parts, tmp_path):
    model = make_pipeline(StandardScaler(), abstain.SelectiveClassifier(LogisticRegression())).fit(*parts[0])
    X, y = parts[2][0].copy(), parts[2][1]
    path = abstain.report(model, X, y, tmp_path / "page.html")
    before = path.read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="groups"):
        abstain.report(model, X, y, path, groups=[1, 2])
    with pytest.raises(TypeError, match="no decide"):
        abstain.report(LogisticRegression().fit(*parts[0]), X, y, path)
    assert path.read_text(encoding="utf-8") == before
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]
    bare = abstain.SelectiveClassifier(LogisticRegression()).fit(*parts[0])
    X[::5, 0] = np.nan
    assert "most surprising" in text_of(abstain.report(bare, X, y, path))


def test_a_threshold_for_each_group(fitted, parts, tmp_path):
    group = np.where(parts[1][0][:, 0] > 0, "right", "left")
    est = fitted.fit_policy(*parts[1], abstain.TargetRisk(0.25, groupwise=True), groups=group)
    X, y = parts[2]
    group = np.where(X[:, 0] > 0, "right", "left")
    accept = est.accept(X, groups=group)
    assert f"{100 * accept.mean():.1f} %" in text_of(abstain.report(est, X, y, tmp_path / "g.html", groups=group))


def test_the_missing_coverage_is_that_of_the_metric(fitted, parts, tmp_path):
    est = fitted.fit_policy(*parts[1], abstain.TargetRisk(0.2, delta=0.1))
    X, y = parts[2]
    errors = abstain.find_label_errors(X, y, random_state=0)
    missing = missing_coverage(
        est.predict(X) == y, est.score_samples(X), est.accept(X), 0.2, suspect=errors.p_given < 0.05, random_state=0
    )
    text = text_of(abstain.report(est, X, y, tmp_path / "with.html", label_errors=errors))
    for name, _ in missing.causes():
        assert re.search(rf"{name}\s+{100 * getattr(missing, name):.1f} %", text)
    alone = text_of(abstain.report(est, X, y, tmp_path / "alone.html"))
    assert "Errors of labels count as those of the classifier" in alone
    est.fit_policy(*parts[1], abstain.TargetCoverage(0.7))
    assert "missing coverage" not in text_of(abstain.report(est, X, y, tmp_path / "coverage.html"))


@pytest.mark.parametrize("kind", ["a mask", "of other samples"])
def test_label_errors_of_another_kind_are_named(kind, fitted, parts, tmp_path):
    est = fitted.fit_policy(*parts[1], abstain.TargetRisk(0.2, delta=0.1))
    given = np.zeros(500, dtype=bool) if kind == "a mask" else abstain.find_label_errors(*parts[1], random_state=0)
    with pytest.raises(ValueError, match="label_errors must be what find_label_errors says of the same 500 samples"):
        abstain.report(est, *parts[2], tmp_path / "page.html", label_errors=given)


def test_a_page_says_what_the_promise_of_own_losses_bounds(tmp_path):
    """A cost, or an answer at a node, is no error, and what is measured is what is promised."""
    X, y = overlapping(900)
    cost, groups = 1.0 - np.eye(len(np.unique(y))), np.arange(300) % 2
    cost[0, 1] = 20.0
    for model, groupwise in (
        (abstain.CostSensitiveClassifier(cost=cost, cv=2, random_state=0), True),
        (abstain.HierarchicalClassifier(cv=2, random_state=0), False),
    ):
        quiet(model.fit, X[:300], y[:300])
        quiet(model.fit_policy, X[300:600], y[300:600], abstain.TargetRisk(0.6, groupwise=groupwise), groups=groups)
        page = abstain.report(model, X[600:], y[600:], tmp_path / "page.html", groups=groups).read_text()
        checked = model.check(X[600:], y[600:], groups=groups)
        assert "Errors among the answers: at most" not in page
        assert f"{100 * checked.errors / checked.accepted:.1f} %" in page
        assert model.loss_means_ in page


def test_a_page_needs_its_folder(fitted, parts, tmp_path):
    with pytest.raises(ValueError, match="in a folder that does not exist"):
        abstain.report(fitted, *parts[2], tmp_path / "missing" / "page.html")

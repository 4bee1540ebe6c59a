"""A failed or interrupted fit, or parameters set after it, change nothing of what was fitted (M6)."""

import copy
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from small_problems import overlapping, quiet

import abstain
from abstain.losses import CrossEntropyLoss, TCPLoss

pytestmark = pytest.mark.filterwarnings(
    "ignore::abstain.warnings.AbstainWarning", "ignore:overflow", "ignore:invalid value"
)

PACKAGE = str(Path(abstain.__file__).parent)
SCORERS = {
    "neighbours": abstain.NearestNeighbours(3, engine="sklearn"),
    "neighbours, as they are": abstain.NearestNeighbours(3, scale=False, engine="sklearn"),
    "neighbours, agreement": abstain.NearestNeighbours(3, measure="distance", normalize=True, engine="sklearn"),
    "Mahalanobis": abstain.Mahalanobis(),
    "relative Mahalanobis": abstain.RelativeMahalanobis(),
    "ViM": abstain.ViM(2),
    "head": abstain.TrustHead(l2=1.0, random_state=0),
    "head, chosen": abstain.TrustHead(random_state=0),
    "p-norm": abstain.MaxLogitPNorm(),
    "RelU": abstain.RelU(),
    "probe": abstain.LinearProbe(),
}
CLASSIFIERS = {
    "default": abstain.SelectiveClassifier(LogisticRegression(), cv=2),
    "neighbours": abstain.SelectiveClassifier(LogisticRegression(), abstain.NearestNeighbours(3), cv=2),
    "CorrectnessTrust": abstain.CorrectnessTrust(LogisticRegression(), cv=2, random_state=0),
    "difficulty": abstain.DifficultyAwareClassifier(cv=2, random_state=0),
}


def ask(fitted, X):
    """Return whatever a fitted object says of some rows."""
    return fitted.score_samples(X) if hasattr(fitted, "score_samples") else fitted.predict_proba(X)


def state(n=90, seed=0):
    X, y = overlapping(n, seed=seed)
    return X, (y ^ (np.arange(n) % 9 == 0)).astype(int)


class _Interrupter:
    """Raise KeyboardInterrupt at the k-th line of the package that runs; count the lines."""

    def __init__(self, at=None):
        self.at, self.lines = at, 0

    def __call__(self, frame, event, arg):
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line":
            self.lines += 1
            if self.lines == self.at:
                raise KeyboardInterrupt
        return self

    def run(self, function, *args):
        before = sys.gettrace()
        sys.settrace(self)
        try:
            quiet(function, *args)
        finally:
            sys.settrace(before)


def assert_interrupts_change_nothing(fitted, fit, look, shares=(0.02, 0.3, 0.6, 0.9, 0.97)):
    """Interrupt a refit at several places; afterwards everything must be as it was."""
    before = look(fitted)
    counter = _Interrupter()
    counter.run(fit, copy.deepcopy(fitted))
    for share in shares:
        with pytest.raises(KeyboardInterrupt):
            _Interrupter(max(1, int(share * counter.lines))).run(fit, fitted)
        np.testing.assert_array_equal(look(fitted), before, err_msg=f"interrupted after {share:.0%} of the lines")


@pytest.mark.parametrize("name", SCORERS)
def test_an_interrupted_refit_of_a_scorer_changes_nothing(name):
    X, y = state()
    fitted = quiet(clone(SCORERS[name]).fit, X, y)
    other, y_other = state(seed=7)
    assert_interrupts_change_nothing(fitted, lambda s: s.fit(3 * other + 5, y_other), lambda s: ask(s, X))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_an_interrupted_refit_of_a_classifier_changes_nothing(name):
    X, y = state()
    fitted = quiet(clone(CLASSIFIERS[name]).fit, X, y)
    other, y_other = state(seed=7)

    def look(clf):
        return np.column_stack([clf.score_samples(X), clf.decide(X), clf.predict_proba(X)])

    assert_interrupts_change_nothing(fitted, lambda s: s.fit(3 * other + 5, y_other), look, shares=(0.1, 0.5, 0.95))


def test_an_interrupted_calibration_changes_nothing():
    X, y = state()
    fitted = quiet(clone(CLASSIFIERS["default"]).fit, X, y)
    other, y_other = state(seed=7)
    policy = abstain.TargetCoverage(0.3)
    assert_interrupts_change_nothing(fitted, lambda s: s.fit_policy(other, y_other, policy), lambda s: s.decide(X))


@pytest.mark.parametrize("policy", [abstain.TargetRisk(0.3), abstain.TargetCoverage(0.5), abstain.RejectCost(0.3)])
def test_a_refused_refit_of_a_policy_changes_nothing(policy):
    rng = np.random.default_rng(0)
    score, correct = rng.random(300), rng.random(300) < 0.9
    fitted = quiet(policy.fit, score, correct)
    threshold, certificate = fitted.threshold_, fitted.certificate_
    with pytest.raises((ValueError, TypeError)):
        fitted.fit(score, np.full(300, 0.5))
    assert (fitted.threshold_, fitted.certificate_) == (threshold, certificate)


REFUSED = {
    "too large for float32": lambda X, y: (np.where(np.eye(*X.shape) > 0, 1e39, X), y),
    "NaN": lambda X, y: (np.where(np.eye(*X.shape) > 0, np.nan, X), y),
    "another length": lambda X, y: (2 * X + 1, y[:-3]),
    "another width and NaN": lambda X, y: (np.full((len(y), 9), np.nan), y),
    "labels that are missing": lambda X, y: (2 * X + 1, np.where(np.arange(len(y)) == 0, np.nan, y)),
    "empty": lambda X, y: (X[:0], y[:0]),
}


@pytest.mark.parametrize("bad", REFUSED)
@pytest.mark.parametrize("name", SCORERS)
def test_a_refused_refit_of_a_scorer_changes_nothing(name, bad):
    X, y = state()
    fitted = quiet(clone(SCORERS[name]).fit, X, y)
    before = ask(fitted, X)
    try:
        quiet(fitted.fit, *REFUSED[bad](X, y))
    except (ValueError, TypeError):
        np.testing.assert_array_equal(ask(fitted, X), before)
        assert fitted.n_features_in_ == X.shape[1]


@pytest.mark.parametrize("bad", ["NaN", "another length", "empty"])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_refused_refit_of_a_classifier_changes_nothing(name, bad):
    X, y = state()
    fitted = quiet(clone(CLASSIFIERS[name]).fit, X, y)
    before = fitted.decide(X)
    with pytest.raises(ValueError, match=r"."):
        quiet(fitted.fit, *REFUSED[bad](X, y))
    np.testing.assert_array_equal(fitted.decide(X), before)


def test_a_loss_that_fails_in_a_refit_changes_nothing():
    class Failing(CrossEntropyLoss):
        def value(self, z, target):
            if Failing.armed and z.size > 50:
                raise RuntimeError("failed")
            return super().value(z, target)

    Failing.armed = False
    X, y = state()
    head = quiet(abstain.TrustHead(Failing(), l2=1.0).fit, X, y)
    before = head.score_samples(X)
    Failing.armed = True
    with pytest.raises(RuntimeError, match="failed"):
        quiet(head.fit, 5 * X + 3, y)
    Failing.armed = False
    np.testing.assert_array_equal(head.score_samples(X), before)


CHANGES = {
    "neighbours": {"n_neighbors": 20, "scale": False, "normalize": True, "measure": "ratio"},
    "neighbours, as they are": {"scale": True},
    "Mahalanobis": {"at": "predicted", "shrinkage": "none", "normalize": True, "precision": "float32"},
    "relative Mahalanobis": {"normalize": True, "precision": "float32"},
    "ViM": {"n_principal": 1, "weight": np.ones((2, 4)), "bias": np.ones(2)},
    "head": {
        "loss": TCPLoss(), "calibrate": False, "head_inputs": "features", "unit_norm": True, "hidden": (4,),
        "target": "tcp", "l2": 1e6,
    },
    "p-norm": {"exponents": (1,)},
    "RelU": {"lam": 0.9, "temperature": 9.0},
    "probe": {"l2": 1e6, "standardise": False},
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "parameter"), [(name, parameter) for name, changes in CHANGES.items() for parameter in changes]
)
def test_parameters_set_after_fit_change_no_score(name, parameter):
    X, y = state()
    fitted = quiet(clone(SCORERS[name]).fit, X, y)
    before = ask(fitted, X)
    fitted.set_params(**{parameter: CHANGES[name][parameter]})
    np.testing.assert_array_equal(ask(fitted, X), before)


@pytest.mark.parametrize(
    "change",
    [
        {"response_method": "decision_function"},
        {"scorer": abstain.scores.entropy},
        {"policy": abstain.TargetCoverage(0.2)},
        {"abstain_label": -9},
        {"estimator": LogisticRegression(C=1e-6)},
        {"estimator": None},
        {"cv": 3},
    ],
    ids=lambda change: next(iter(change)),
)
def test_parameters_of_a_classifier_set_after_fit_change_no_decision(change):
    X, y = state()
    fitted = quiet(clone(CLASSIFIERS["default"]).fit, X, y)
    score, decided = fitted.score_samples(X), fitted.decide(X)
    fitted.set_params(**change)
    np.testing.assert_array_equal(fitted.score_samples(X), score)
    np.testing.assert_array_equal(fitted.decide(X), decided)


@pytest.mark.parametrize(
    "change", [{"head_inputs": "features"}, {"error_weight": 9.0}, {"outcomes": "training"}], ids=str
)
def test_parameters_of_a_trust_method_set_after_fit_change_no_score(change):
    X, y = state(200)
    fitted = quiet(clone(CLASSIFIERS["CorrectnessTrust"]).fit, X, y)
    before = fitted.score_samples(X)
    fitted.set_params(**change)
    np.testing.assert_array_equal(fitted.score_samples(X), before)


def test_the_head_given_is_not_the_head_fitted():
    X, y = state(200)
    head = abstain.TrustHead(l2=1.0, random_state=0)
    fitted = quiet(abstain.SelectiveClassifier(LogisticRegression(), head, cv=2).fit, X, y)
    before = fitted.score_samples(X)
    fitted.set_params(scorer__calibrate=False, scorer__loss=TCPLoss())
    np.testing.assert_array_equal(fitted.score_samples(X), before)
    fitted.scorer_.set_params(calibrate=False)
    np.testing.assert_array_equal(fitted.score_samples(X), before)

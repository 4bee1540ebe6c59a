"""The library's own checks, for every selective classifier, policy and loss that exists.

They hold what scikit-learn's checks cannot know: what a decision is, that it costs one pass, and that a loss is
the derivative of itself. Use them on your own classes: each check takes an instance and raises AssertionError.
"""

import pickle
import warnings

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import abstain
from abstain.selective.policies import FixedThreshold, TargetCoverage
from abstain.solvers.training import Training
from abstain.warnings import AbstainWarning

LABELS = {
    "int": np.array([0, 1, 2]),
    "negative": np.array([-1, 1]),
    "str": np.array(["cat", "dog", "emu"]),
    "float": np.array([1.0, 2.0]),
    "bool": np.array([False, True]),
}


def all_public(kind):
    """Return the public classes of a kind: a selective classifier, a policy or an estimator, by existing.

    Parameters
    ----------
    kind : type
        Base class, for example ``BaseSelectiveClassifier``.

    Returns
    -------
    classes : list of type
        Concrete public subclasses.
    """
    found = (getattr(abstain, name) for name in abstain.__all__)
    classes = [c for c in found if isinstance(c, type) and issubclass(c, kind) and not c.__name__.startswith("Base")]
    return [c for c in classes if hasattr(c, "fit")]


def all_losses(protocol=None):
    """Return the public losses that keep a protocol.

    Parameters
    ----------
    protocol : type, default=None
        ``ClassLoss`` or ``TrustLoss``; None is the latter.

    Returns
    -------
    losses : list of type
        Concrete losses.
    """
    wanted = [m for m in vars(protocol or abstain.losses.TrustLoss) if not m.startswith("_")]
    found = (getattr(abstain.losses, name) for name in abstain.losses.__all__)
    concrete = [c for c in found if isinstance(c, type) and not getattr(c, "_is_protocol", False)]
    return [c for c in concrete if all(hasattr(c, member) for member in wanted)]


def small(estimator_class):
    """Build an estimator with settings that are quick on small data."""
    names = estimator_class._get_param_names()
    quick = {
        "cv": 2, "random_state": 0, "training": Training(epochs=10, lr=0.02, batch_size=32), "warm_up_epochs": 2
    }  # fmt: skip
    return estimator_class(**{k: v for k, v in quick.items() if k in names})


def overlapping_classes(labels, n=240, random_state=0):
    """Draw features of overlapping classes, so that there are errors to learn from."""
    rng = np.random.RandomState(random_state)
    codes = np.arange(n) % len(labels)
    X = rng.normal(size=(n, 4)) + 0.9 * np.eye(4)[codes % 4]
    return X, labels[codes]


def selective_classifier_checks():
    """Return the checks of a selective classifier."""
    return [value for name, value in globals().items() if name.startswith("check_decision_")]


def policy_checks():
    """Return the checks of a policy."""
    return [value for name, value in globals().items() if name.startswith("check_policy_")]


def loss_checks():
    """Return the checks of a trust loss."""
    return [value for name, value in globals().items() if name.startswith("check_loss_")]


def class_loss_checks():
    """Return the checks of a class loss."""
    return [value for name, value in globals().items() if name.startswith("check_class_loss_")]


def selective_loss_checks():
    """Return the checks of a selective loss."""
    return [value for name, value in globals().items() if name.startswith("check_selective_loss_")]


def _fitted(estimator, labels=LABELS["int"]):
    X, y = overlapping_classes(labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AbstainWarning)
        return clone(estimator).fit(X, y), X, y


class CountingClassifier(ClassifierMixin, BaseEstimator):
    """Logistic regression that counts how often it is asked for probabilities, over all its copies."""

    calls = 0

    def fit(self, X, y):
        """Fit the model inside."""
        self.model_ = LogisticRegression().fit(X, y)
        self.classes_ = self.model_.classes_
        return self

    def predict_proba(self, X):
        """Count, and answer."""
        CountingClassifier.calls += 1
        return self.model_.predict_proba(X)


def check_decision_agrees_with_predict_and_accept(estimator):
    """``decide`` equals ``predict`` where accepted and the sentinel elsewhere, for every kind of label."""
    for labels in LABELS.values():
        fitted, X, _ = _fitted(estimator, labels)
        decided, accepted = fitted.decide(X), fitted.accept(X)
        assert accepted.dtype == bool
        assert accepted.any()
        np.testing.assert_array_equal(decided[accepted], fitted.predict(X)[accepted])
        assert not np.isin(decided[~accepted], labels).any()
        assert np.isin(decided[accepted], labels).all()


def check_decision_shrinks_with_the_threshold(estimator):
    """A higher threshold accepts a subset; an infinite one accepts nothing."""
    fitted, X, _ = _fitted(estimator)
    score = fitted.score_samples(X)
    before = np.ones(len(X), dtype=bool)
    for threshold in [-np.inf, *np.quantile(score, [0.2, 0.6, 0.9]), np.inf]:
        fitted.policy_.threshold_ = threshold
        accepted = fitted.accept(X)
        assert not (accepted & ~before).any()
        before = accepted
    assert not before.any()


def check_decision_costs_one_call_of_the_classifier(estimator):
    """Every public method asks the classifier once."""
    if "estimator" not in estimator.get_params(deep=False):
        return
    fitted, X, _ = _fitted(clone(estimator).set_params(estimator=CountingClassifier()))
    for method in ("predict", "predict_proba", "score_samples", "accept", "decide"):
        CountingClassifier.calls = 0
        getattr(fitted, method)(X)
        assert CountingClassifier.calls == 1, f"{method} called the classifier {CountingClassifier.calls} times"


def check_decision_score_is_finite_and_reproducible(estimator):
    """Scores are finite float64, not constant, equal after clone and refit, and after pickling."""
    fitted, X, _ = _fitted(estimator)
    score = fitted.score_samples(X)
    assert score.shape == (len(X),)
    assert score.dtype == np.float64
    assert np.isfinite(score).all()
    assert np.ptp(score) > 0
    again, _, _ = _fitted(estimator)
    np.testing.assert_array_equal(again.score_samples(X), score)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).decide(X), fitted.decide(X))


def check_decision_does_not_depend_on_batch_or_order(estimator):
    """A row has one score, alone or in company."""
    fitted, X, _ = _fitted(estimator)
    score = fitted.score_samples(X)
    order = np.random.RandomState(1).permutation(len(X))
    np.testing.assert_allclose(fitted.score_samples(X[order]), score[order], rtol=1e-9, atol=1e-12)
    single = np.concatenate([fitted.score_samples(X[[i]]) for i in range(5)])
    np.testing.assert_allclose(single, score[:5], rtol=1e-9, atol=1e-12)


def check_decision_fit_policy_moves_the_policy_alone(estimator):
    """``fit_policy`` sets ``policy_`` and nothing else, and knows old rows from new."""
    fitted, X, y = _fitted(estimator)
    X_new, y_new = overlapping_classes(LABELS["int"], random_state=7)
    before = {name: id(value) for name, value in vars(fitted).items()}
    assert fitted.policy_.certificate_.disjoint is False
    assert fitted.fit_policy(X_new, y_new, TargetCoverage(0.5)) is fitted
    moved = {name for name, value in vars(fitted).items() if before.get(name) != id(value)}
    assert moved == {"policy_"}
    assert fitted.policy_.certificate_.disjoint is True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AbstainWarning)
        assert fitted.fit_policy(X, y).policy_.certificate_.disjoint is False


def check_decision_survives_pipelines_and_searches(estimator):
    """`abstain.decide` reaches through a Pipeline inside a search."""
    X, y = overlapping_classes(LABELS["int"])
    name = type(estimator).__name__.lower()
    pipeline = make_pipeline(StandardScaler(), clone(estimator))
    search = GridSearchCV(pipeline, {f"{name}__policy": [TargetCoverage(0.7)]}, cv=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AbstainWarning)
        search.fit(X, y)
    decided = abstain.decide(search, X)
    assert decided.shape == y.shape
    assert 0 < (decided == -1).mean() < 0.6


def check_decision_refuses_a_sentinel_that_is_a_class(estimator):
    """``abstain_label`` must not be a class; any other value is returned as it is."""
    X, y = overlapping_classes(LABELS["str"])
    message = ""
    try:
        clone(estimator).set_params(abstain_label="dog").fit(X, y)
    except ValueError as error:
        message = str(error)
    assert "abstain_label" in message, "a class was taken as the label of abstentions"
    fitted, X, _ = _fitted(clone(estimator).set_params(abstain_label="?"), LABELS["str"])
    fitted.policy_.threshold_ = np.inf
    assert (fitted.decide(X) == "?").all()


def _held_out(n=400, random_state=0):
    rng = np.random.RandomState(random_state)
    score = rng.uniform(size=n)
    return score, rng.uniform(size=n) < 0.6 + 0.4 * score


def _quiet_fit(policy, *arrays, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AbstainWarning)
        return clone(policy).fit(*arrays, **options)


def check_policy_certificate_counts(policy):
    """The certificate counts what the threshold accepts."""
    score, correct = _held_out()
    fitted = _quiet_fit(policy, score, correct)
    accepted = fitted.accept(score)
    np.testing.assert_array_equal(accepted, score >= fitted.threshold_)
    certificate = fitted.certificate_
    assert (certificate.n, certificate.accepted) == (score.size, accepted.sum())
    assert certificate.errors == (accepted & ~correct).sum()
    assert certificate.disjoint is None
    assert _quiet_fit(policy, score, correct, disjoint=True).certificate_.disjoint is True


def check_policy_does_not_depend_on_order_or_scale(policy):
    """Row order does not matter; and for all but a fixed threshold only the order of scores does."""
    score, correct = _held_out()
    score = np.round(score, 2)
    accepted = _quiet_fit(policy, score, correct).accept(score)
    order = np.random.RandomState(1).permutation(score.size)
    np.testing.assert_array_equal(_quiet_fit(policy, score[order], correct[order]).accept(score), accepted)
    if not isinstance(policy, FixedThreshold):
        transformed = np.exp(3 * score)
        np.testing.assert_array_equal(_quiet_fit(policy, transformed, correct).accept(transformed), accepted)


def check_policy_survives_degenerate_data(policy):
    """One sample, equal scores, all right, all wrong: a verdict for everyone, tied scores sharing one."""
    for n in (1, 50):
        for correct in (np.ones(n, dtype=bool), np.zeros(n, dtype=bool), np.arange(n) % 2 == 0):
            fitted = _quiet_fit(policy, np.full(n, 0.5), correct)
            assert len(set(fitted.accept(np.full(n, 0.5)).tolist())) == 1


def check_policy_refuses_bad_arrays(policy):
    """Empty, mismatched, non-finite or two-dimensional input raises and names the parameter."""
    good, correct = _held_out(20)
    cases = {
        "score": [(np.empty(0), np.empty(0)), (np.full(20, np.nan), correct), (good[:, None], correct)],
        "correct": [(good, correct[:-1]), (good, correct * 2.0), (good, correct[:, None])],
    }
    for name, arrays in cases.items():
        for pair in arrays:
            message = ""
            try:
                clone(policy).fit(*pair)
            except ValueError as error:
                message = str(error)
            assert name in message, f"{name} was taken as {[np.shape(a) for a in pair]}"


_Z = np.array([-30.0, -3.0, -0.7, 0.0, 0.2, 1.5, 30.0])


def _both_targets():
    return np.repeat(_Z, 2), np.tile([0.0, 1.0], _Z.size)


def check_loss_derivative(loss):
    """``derivative`` is that of ``value``, by central differences."""
    z, target = _both_targets()
    step = 1e-6 * np.maximum(np.abs(z), 1)
    numeric = (loss.value(z + step, target) - loss.value(z - step, target)) / (2 * step)
    np.testing.assert_allclose(loss.derivative(z, target), numeric, rtol=1e-4, atol=1e-7)


def check_loss_is_per_sample(loss):
    """Each sample has its own loss: permuting the targets changes it, and (b, 1) against (b,) raises."""
    z, target = _both_targets()
    value = loss.value(z, target)
    assert value.shape == z.shape
    alone = np.concatenate([loss.value(z[[i]], target[[i]]) for i in range(z.size)])
    np.testing.assert_allclose(value, alone, rtol=1e-12)
    assert abs(loss.value(z, np.sort(target)).mean() - value.mean()) > 1e-3
    message = ""
    try:
        loss.value(z[:, None], target)
    except ValueError as error:
        message = str(error)
    assert "one-dimensional" in message, "a column of outputs was broadcast against a row of targets"


def check_loss_is_finite_and_monotone(loss):
    """Finite at +-1e4 in both precisions; falls in z for right predictions and rises for errors."""
    for dtype in (np.float32, np.float64):
        z = np.array([-1e4, -50.0, -1.0, 0.0, 1.0, 50.0, 1e4], dtype=dtype)
        for right in (0.0, 1.0):
            target = np.full_like(z, right)
            values = loss.value(z, target)
            assert np.isfinite(values).all()
            assert np.isfinite(loss.derivative(z, target)).all()
            assert values.dtype == dtype
            rise = np.diff(values)
            assert (rise <= 0).all() if right else (rise >= 0).all()


def check_loss_inverse_link_inverts_the_minimiser(loss):
    """At the minimiser of the expected loss, ``inverse_link`` is the expected target; it keeps the order."""
    grid = np.linspace(-60, 60, 240_001)
    ones = np.ones_like(grid)
    link = loss.inverse_link(grid)
    assert (np.diff(link) >= 0).all()
    assert link.min() >= 0
    assert link.max() <= 1
    for eta in (0.2, 0.5, 0.8):
        expected = eta * loss.value(grid, ones) + (1 - eta) * loss.value(grid, 0 * ones)
        np.testing.assert_allclose(link[expected.argmin()], eta, atol=2e-3)


def _logits(n_classes=4, random_state=0):
    rng = np.random.RandomState(random_state)
    logits = rng.normal(scale=3.0, size=(12, n_classes))
    return logits, rng.randint(n_classes, size=12), rng.uniform(size=12)


def check_class_loss_derivative(loss):
    """The derivative is that of the value, by central differences."""
    logits, codes, weight = _logits()
    _, slope = loss.value_and_derivative(logits, codes, weight)
    assert slope.shape == logits.shape
    for k in range(logits.shape[1]):
        step = np.zeros_like(logits)
        step[:, k] = 1e-6
        above, below = (loss.value_and_derivative(logits + s, codes, weight)[0] for s in (step, -step))
        np.testing.assert_allclose(slope[:, k], (above - below) / 2e-6, rtol=1e-5, atol=1e-7)


def check_class_loss_is_per_sample(loss):
    """Each sample has its own loss, the classes matter, and a constant added to all logits does not."""
    logits, codes, weight = _logits()
    value, slope = loss.value_and_derivative(logits, codes, weight)
    assert value.shape == codes.shape
    alone = [loss.value_and_derivative(logits[[i]], codes[[i]], weight[[i]])[0][0] for i in range(len(codes))]
    np.testing.assert_allclose(value, alone, rtol=1e-12)
    assert (loss.value_and_derivative(logits, (codes + 1) % 4, weight)[0] != value).all()
    np.testing.assert_allclose(loss.value_and_derivative(logits + 7, codes, weight)[0], value, rtol=1e-9)
    np.testing.assert_allclose(slope.sum(axis=1), 0, atol=1e-12)


def check_class_loss_is_finite(loss):
    """Finite at +-1e4, in both precisions, which are kept."""
    for dtype in (np.float32, np.float64):
        logits = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]], dtype=dtype)
        for part in loss.value_and_derivative(logits, np.array([0, 2]), np.ones(2, dtype=dtype)):
            assert np.isfinite(part).all()
            assert part.dtype == dtype


def check_class_loss_refuses_shapes(loss):
    """Codes of shape (b, 1) against logits of shape (b, K) raise."""
    logits, codes, weight = _logits()
    message = ""
    try:
        loss.value_and_derivative(logits, codes[:, None], weight)
    except ValueError as error:
        message = str(error)
    assert "shape" in message, "a column of codes was broadcast"


def check_selective_loss_is_a_property_of_the_batch(loss):
    """The value is a scalar that does not depend on the order of the samples, but on which class is whose."""
    logits, codes, memory = _logits()
    select = np.linspace(-2, 2, len(codes))
    kept, order = (memory, memory.mean()), np.random.RandomState(1).permutation(len(codes))
    value = loss.value(logits, select, codes, memory=kept)
    assert np.ndim(value) == 0
    again = loss.value(logits[order], select[order], codes[order], memory=(memory[order], kept[1]))
    np.testing.assert_allclose(again, value, rtol=1e-9)
    assert loss.value(logits, select, (codes + 1) % 4, memory=kept) != value
    for part in loss.parts(logits, select, codes, memory=kept).values():
        assert part.shape == codes.shape


def check_selective_loss_moves_each_selector_its_own_way(loss):
    """The derivative by the selectors differs between samples; log-odds are monotone in them, and invert themselves."""
    logits, codes, _ = _logits()
    select = np.zeros(len(codes))
    slope = []
    for step in 1e-6 * np.eye(len(codes)):
        slope.append((loss.value(logits, select + step, codes) - loss.value(logits, select - step, codes)) / 2e-6)
    assert np.ptp(slope) > 1e-4
    sign = np.sign(loss.log_odds(logits, select + 1) - loss.log_odds(logits, select))
    assert (sign == sign[0]).all()
    assert sign[0] != 0
    np.testing.assert_allclose(loss.log_odds(logits, loss.log_odds(logits, select + 1)), select + 1, atol=1e-9)


def check_selective_loss_is_finite(loss):
    """Finite at +-1e4, in both precisions, which are kept."""
    for dtype in (np.float32, np.float64):
        logits = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]], dtype=dtype)
        for select in (np.array([1e4, -1e4], dtype=dtype), np.array([-1e4, 1e4], dtype=dtype)):
            value = loss.value(logits, select, np.array([0, 2]))
            assert np.isfinite(value)
            assert value.dtype == dtype


def check_selective_loss_refuses_shapes(loss):
    """A column of selectors against rows of losses raises."""
    logits, codes, _ = _logits()
    message = ""
    try:
        loss.value(logits, np.zeros((len(codes), 1)), codes)
    except ValueError as error:
        message = str(error)
    assert "shape" in message, "a column of selectors was broadcast"

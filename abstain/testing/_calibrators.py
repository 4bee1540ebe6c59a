"""What a calibrator keeps: rows are rows, dtypes agree, classes may be missing, and only ratios of weights matter."""

import pickle
import warnings

import numpy as np
from sklearn.base import clone

from abstain.outputs import ClassOutputs
from abstain.testing._classifiers import LABELS, overlapping_classes


def calibrator_checks() -> list:
    """Return the checks of a calibrator: functions of an instance without an estimator."""
    return [value for name, value in globals().items() if name.startswith("check_calibrator_")]


def overconfident(n: int = 400, n_classes: int = 3, random_state: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw logits that are twice as large as they should be, and labels."""
    rng = np.random.RandomState(random_state)
    true = rng.normal(size=(n, n_classes))
    return 2.0 * true, (true + rng.gumbel(size=true.shape)).argmax(axis=1)


def _fitted(calibrator, X, y, **params):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return clone(calibrator).fit(X, y, **params)


def _draws(calibrator):
    """Whether a calibrator draws folds, or rows to hold out, by their place."""
    return not {"guard", "validation_fraction"}.isdisjoint(calibrator.get_params(deep=False))


def check_calibrator_gives_probabilities(calibrator):
    """Rows are positive and sum to one, in both kinds, and of two classes and of five."""
    for n_classes in (2, 3, 5):
        logits, y = overconfident(n_classes=n_classes)
        proba = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
        by_kind = [
            _fitted(calibrator.set_params(kind=kind), X, y) for kind, X in (("logits", logits), ("proba", proba))
        ]
        calibrator.set_params(kind=None)
        found = [fitted.predict_proba(X) for fitted, X in zip(by_kind, (logits, proba), strict=True)]
        for rows in found:
            np.testing.assert_allclose(rows.sum(axis=1), 1.0, rtol=1e-12)
            assert (rows > 0).all()
        # weights of a mixture are flat where members agree
        np.testing.assert_allclose(found[0], found[1], atol=5e-3, err_msg="logits and their probabilities disagree")
        mapped = by_kind[0].transform(logits)
        np.testing.assert_allclose(np.exp(mapped) / np.exp(mapped).sum(axis=1, keepdims=True), found[0], rtol=1e-9)
        np.testing.assert_allclose(by_kind[1].transform(proba), found[1], rtol=1e-12)


def check_calibrator_does_not_depend_on_batch_or_order(calibrator):
    """A row has one probability, alone and in company; and the order of the samples of `fit` does not matter."""
    logits, y = overconfident()
    fitted = _fitted(calibrator, logits, y)
    proba, order = fitted.predict_proba(logits), np.random.RandomState(1).permutation(len(y))
    np.testing.assert_allclose(fitted.predict_proba(logits[order]), proba[order], rtol=1e-9)
    single = np.concatenate([fitted.predict_proba(logits[[i]]) for i in range(5)])
    np.testing.assert_allclose(single, proba[:5], rtol=1e-9)
    if not _draws(calibrator):
        np.testing.assert_allclose(_fitted(calibrator, logits[order], y[order]).predict_proba(logits), proba, atol=1e-5)


def check_calibrator_agrees_over_dtypes(calibrator):
    """float16, float32 and float64 that hold the same values give the same map and the same probabilities."""
    logits, y = overconfident()
    logits = logits.astype(np.float16)
    found = [
        _fitted(calibrator, X, y).predict_proba(X) for X in map(logits.astype, (np.float16, np.float32, np.float64))
    ]
    np.testing.assert_allclose(found[0], found[2], atol=1e-6)
    np.testing.assert_allclose(found[1], found[2], atol=1e-6)
    if "kind" in calibrator.get_params():  # probabilities are rounded otherwise in each
        proba = np.exp(logits - np.logaddexp.reduce(logits.astype(float), axis=1, keepdims=True))
        model = clone(calibrator).set_params(kind="proba")
        half, single, double = (
            _fitted(model, p, y).predict_proba(p) for p in map(proba.astype, (np.float16, np.float32, np.float64))
        )
        np.testing.assert_allclose(single, double, atol=1e-3)
        np.testing.assert_allclose(half.mean(axis=0), double.mean(axis=0), atol=0.02)


def check_calibrator_takes_missing_classes(calibrator):
    """A class without samples, or with one, keeps a column and a positive probability."""
    logits, y = overconfident(n_classes=4)
    for there in (y < 2, (y < 2) | (np.arange(len(y)) == np.flatnonzero(y == 3)[0]), y == 1):
        fitted = _fitted(calibrator, logits[there], y[there])
        proba = fitted.predict_proba(logits)
        assert proba.shape == logits.shape
        assert np.isfinite(np.log(proba)).all()


def check_calibrator_knows_weights(calibrator):
    """Only ratios of weights matter, and a weight of zero is no sample."""
    logits, y = overconfident()
    weight = np.random.RandomState(2).uniform(0.5, 2.0, len(y))
    found = [_fitted(calibrator, logits, y, sample_weight=w).predict_proba(logits) for w in (weight, 7.0 * weight)]
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)
    if not _draws(calibrator):
        kept = np.arange(len(y)) % 3 > 0
        zeros = _fitted(calibrator, logits, y, sample_weight=kept.astype(float)).predict_proba(logits)
        np.testing.assert_allclose(zeros, _fitted(calibrator, logits[kept], y[kept]).predict_proba(logits), atol=1e-6)


def check_calibrator_keeps_answers_where_it_says_so(calibrator):
    """Where ``keeps_answer``, `predict` is that of the classifier; a rule other than the largest output stays."""
    logits, y = overconfident()
    fitted = _fitted(calibrator, logits, y)
    if fitted.keeps_answer:
        np.testing.assert_array_equal(fitted.predict(logits), logits.argmax(axis=1))
    outputs = ClassOutputs(logits, "logits", answer=(logits.argmax(axis=1) + 1) % 3)
    tuned = _fitted(calibrator, outputs, y)
    np.testing.assert_array_equal(tuned.transform(outputs).answer, outputs.answer)


def check_calibrator_knows_all_kinds_of_labels(calibrator):
    """Labels name the columns, in their order."""
    for labels in LABELS.values():
        logits, codes = overconfident(n_classes=len(labels))
        fitted = _fitted(calibrator, ClassOutputs(logits, "logits", labels), labels[codes])
        np.testing.assert_array_equal(fitted.classes_, labels)
        plain = _fitted(calibrator, logits, codes)
        np.testing.assert_array_equal(fitted.predict(logits), labels[plain.predict(logits)])


def check_calibrator_survives_pickles_and_failures(calibrator):
    """A pickled calibrator says the same; one whose fit fails stays as it was."""
    logits, y = overconfident()
    fitted = _fitted(calibrator, logits, y)
    proba = fitted.predict_proba(logits)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict_proba(logits), proba)
    try:
        fitted.fit(np.where(logits > 1, np.nan, logits), y)
    except ValueError:
        np.testing.assert_array_equal(fitted.predict_proba(logits), proba)
    else:
        raise AssertionError("NaN among logits were taken")


def check_calibrator_is_a_classifier_around_an_estimator(calibrator):
    """Around an estimator it is fitted on what that says of samples that it has not seen."""
    from sklearn.frozen import FrozenEstimator
    from sklearn.linear_model import LogisticRegression

    X, y = overlapping_classes(LABELS["str"])
    frozen = FrozenEstimator(LogisticRegression(C=100).fit(X[:120], y[:120]))
    around = _fitted(clone(calibrator).set_params(estimator=frozen), X[120:], y[120:])
    outputs = ClassOutputs(frozen.predict_proba(X[120:]), "proba", frozen.classes_)
    alone = _fitted(calibrator, outputs, y[120:])
    np.testing.assert_allclose(around.predict_proba(X), alone.predict_proba(_outputs(frozen, X)), atol=1e-9)
    crossed = _fitted(clone(calibrator).set_params(estimator=LogisticRegression(), cv=2), X, y)
    assert crossed.score(X, y) > 0.5


def _outputs(estimator, X):
    return ClassOutputs(estimator.predict_proba(X), "proba", estimator.classes_)

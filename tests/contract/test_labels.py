"""Labels of every kind survive a decision (M10), and labels of another kind are refused (M4)."""

import re

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from small_problems import overlapping, quiet

import abstain
from abstain.metrics import aurc, make_selective_scorer

pytestmark = pytest.mark.filterwarnings("ignore::abstain.warnings.AbstainWarning")

BIG = 2**63
KINDS = {
    "uint64": np.array([BIG + 5, BIG + 6], dtype=np.uint64),
    "uint64, three": np.array([1, BIG - 1, 2**64 - 1], dtype=np.uint64),
    "uint64, small": np.array([1, 2], dtype=np.uint64),
    "uint8": np.array([0, 255], dtype=np.uint8),
    "int8": np.array([-128, -1], dtype=np.int8),
    "int64, lowest": np.array([-BIG, -1], dtype=np.int64),
    "int64, highest": np.array([BIG - 2, BIG - 1], dtype=np.int64),
    "int64 beyond float": np.array([2**53, 2**53 + 1, 2**53 + 2]),
    "minus one": np.array([-1, 1]),
    "bool": np.array([False, True]),
    "float": np.array([1.0, 2.0]),
    "str": np.array(["a", "b"]),
    "object": np.array(["a", "bcdefghijkl"], dtype=object),
}


def decisions(labels, abstain_label=None, seed=0):
    X, codes = overlapping(120, len(labels), seed=seed)
    clf = abstain.SelectiveClassifier(
        LogisticRegression(), policy=abstain.TargetCoverage(0.6), cv=2, abstain_label=abstain_label
    )
    fitted = quiet(clf.fit, X, labels[codes])
    return fitted, fitted.predict(X), fitted.decide(X), fitted.accept(X)


def same(label, sentinel):
    return label == sentinel or (label != label and sentinel != sentinel)


@pytest.mark.parametrize("kind", KINDS)
def test_answers_survive_a_decision(kind):
    labels = KINDS[kind]
    fitted, predicted, decided, accepted = decisions(labels)
    assert 0 < accepted.sum() < len(accepted)
    np.testing.assert_array_equal(predicted, labels[np.searchsorted(fitted.classes_, predicted)])
    assert decided[accepted].tolist() == predicted[accepted].tolist()
    assert all(same(label, fitted.abstain_label_) for label in decided[~accepted].tolist())
    assert not any(label in labels.tolist() for label in decided[~accepted].tolist())


@pytest.mark.parametrize("kind", ["uint64", "int64 beyond float", "int64, highest", "minus one", "bool", "str"])
@pytest.mark.parametrize("sentinel", [float("nan"), "none of these", -7, 0.25, 2**64 - 2], ids=str)
def test_answers_survive_any_sentinel(kind, sentinel):
    _, predicted, decided, accepted = decisions(KINDS[kind], sentinel)
    assert decided[accepted].tolist() == predicted[accepted].tolist()
    assert all(same(label, sentinel) for label in decided[~accepted].tolist())


def test_large_labels_stay_distinct_beside_nan():
    labels = KINDS["int64 beyond float"]
    _, predicted, decided, accepted = decisions(labels, float("nan"))
    assert len({int(label) for label in decided[accepted].tolist()}) == len(set(predicted[accepted].tolist()))


def test_the_sentinel_of_signed_labels_is_told():
    fitted, _, _, _ = decisions(KINDS["minus one"])
    assert fitted.abstain_label_ not in (-1, 1)
    assert re.search(r"-2|below", abstain.SelectiveClassifier.__doc__)


@pytest.mark.parametrize(
    ("labels", "other"),
    [([0, 1], ["0", "1"]), (["a", "b"], [0, 1]), ([0, 1], [b"0", b"1"]), ([1.0, 2.0], ["1.0", "2.0"])],
    ids=["text for integers", "integers for text", "bytes for integers", "text for floats"],
)
def test_labels_of_another_kind_are_refused(labels, other):
    X, codes = overlapping(120)
    fitted = quiet(abstain.SelectiveClassifier(LogisticRegression(), cv=2).fit, X, np.array(labels)[codes])
    wrong = np.array(other)[codes]
    with pytest.raises(ValueError, match=r"label|class"):
        make_selective_scorer(aurc)(fitted, X, wrong)
    with pytest.raises(ValueError, match=r"label|class"):
        fitted.fit_policy(X, wrong)


@pytest.mark.plot
@pytest.mark.parametrize("name", ["RiskCoverageDisplay", "ReliabilityDisplay", "TrustHistogramDisplay"])
def test_displays_refuse_labels_of_another_kind(name):
    pytest.importorskip("matplotlib").use("agg")
    X, y = overlapping(120)
    fitted = quiet(abstain.CorrectnessTrust(LogisticRegression(), cv=2).fit, X, y)
    display = getattr(abstain.metrics, name)
    with pytest.raises(ValueError, match=r"label|class"):
        display.from_estimator(fitted, X, y.astype(str))
    assert display.from_estimator(fitted, X, y.astype(float)) is not None

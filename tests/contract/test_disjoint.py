"""Were the calibration rows fitted on? By value, whatever the container (H9)."""

import io
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from small_problems import Nothing, quiet

import abstain
from abstain.utils.fingerprints import RowPrints
from abstain.warnings import OverlapWarning

pytestmark = pytest.mark.filterwarnings("ignore::abstain.warnings.AbstainWarning")


def labels(n):
    """Give one label in fifty the value 1, so that a bound of .2 is met."""
    return (np.arange(n) % 50 == 7).astype(int)


def numbers(n=400, seed=0, d=4):
    return np.random.default_rng(seed).normal(size=(n, d))


def words(n, seed):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(list("abcdefghijklmnop"), 12)) for _ in range(n)]


def frame(n, seed):
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(seed)
    return pandas.DataFrame(
        {"x": rng.normal(size=n), "k": rng.integers(100, size=n), "text": words(n, seed), "flag": rng.random(n) < 0.5}
    )


def certified(rows, again, base=None):
    """Return the certificate of a classifier fitted on some rows and calibrated on others."""
    base = DummyClassifier(strategy="prior") if base is None else base
    clf = abstain.SelectiveClassifier(base, policy=abstain.TargetCoverage(1.0), cv=2)
    count = rows.shape[0] if hasattr(rows, "shape") else len(rows)
    fitted = quiet(clf.fit, rows, labels(count))
    count = again.shape[0] if hasattr(again, "shape") else len(again)
    return quiet(fitted.fit_policy, again, labels(count), abstain.TargetRisk(0.2)).policy_.certificate_


CONTAINERS = {
    "array": numbers,
    "float32": lambda n, seed: numbers(n, seed).astype("float32"),
    "integers": lambda n, seed: np.random.default_rng(seed).integers(10**6, size=(n, 4)),
    "big-endian": lambda n, seed: numbers(n, seed).astype(">f8"),
    "columns first": lambda n, seed: np.asfortranarray(numbers(n, seed)),
    "images": lambda n, seed: np.random.default_rng(seed).integers(256, size=(n, 3, 4, 4), dtype=np.uint8),
    "csr": lambda n, seed: sp.csr_matrix(numbers(n, seed)),
    "csc": lambda n, seed: sp.csc_matrix(numbers(n, seed)),
    "csr array": lambda n, seed: sp.csr_array(numbers(n, seed)),
    "nested list": lambda n, seed: numbers(n, seed).tolist(),
    "list of arrays": lambda n, seed: list(numbers(n, seed)),
    "texts": words,
    "array of texts": lambda n, seed: np.array(words(n, seed)),
    "objects": lambda n, seed: np.array(words(n, seed), dtype=object),
    "paths": lambda n, seed: [Path(f"{seed}") / word.replace(" ", "") for word in words(n, seed)],
    "frame": lambda n, seed: frame(n, seed)[["x", "k"]],
    "mixed frame": frame,
    "series": lambda n, seed: frame(n, seed)["text"],
    "categories": lambda n, seed: frame(n, seed).astype({"text": "category"}),
    "dates": lambda n, seed: frame(n, seed).assign(day=pytest.importorskip("pandas").Timestamp("2020-01-01")),
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_rows_that_were_fitted_on_are_known_again(kind):
    rows = CONTAINERS[kind](400, 0)
    certificate = certified(rows, rows)
    assert certificate.disjoint is False
    assert certificate.seen == 400
    assert not certificate.guaranteed


@pytest.mark.parametrize("kind", CONTAINERS)
def test_new_rows_are_new(kind):
    certificate = certified(CONTAINERS[kind](400, 0), CONTAINERS[kind](400, 1))
    assert certificate.disjoint is True
    assert certificate.seen == 0
    assert certificate.guaranteed


def text_frame_with(change):
    return lambda: (frame(400, 0), change(frame(400, 0)))


TWINS = {
    "float for integer": text_frame_with(lambda f: f.astype({"k": float})),
    "float for bool": text_frame_with(lambda f: f.astype({"flag": float})),
    "object for bool": text_frame_with(lambda f: f.astype({"flag": object})),
    "object for text": text_frame_with(lambda f: f.astype({"text": object})),
    "nullable integers": text_frame_with(lambda f: f.astype({"k": "Int64"})),
    "categories": text_frame_with(lambda f: f.astype({"text": "category"})),
    "single precision": text_frame_with(lambda f: f.astype({"x": "float32"})),
    "other index": text_frame_with(lambda f: f.set_index(f.index + 1000)),
    "other order": text_frame_with(lambda f: f.sample(frac=1, random_state=0)),
    "by way of a file": text_frame_with(
        lambda f: pytest.importorskip("pandas").read_csv(io.StringIO(f.to_csv(index=0)))
    ),
    "list for array": lambda: (numbers(), numbers().tolist()),
    "array for list": lambda: (numbers().tolist(), numbers()),
    "sparse for dense": lambda: (numbers(), sp.csr_matrix(numbers())),
    "coordinates for rows": lambda: (sp.csr_matrix(numbers()), sp.csc_matrix(numbers())),
    "array for texts": lambda: (words(400, 0), np.array(words(400, 0))),
    "texts for paths": lambda: (CONTAINERS["paths"](400, 0), [str(path) for path in CONTAINERS["paths"](400, 0)]),
    "single precision array": lambda: (numbers(), numbers().astype("float32")),
    "other bytes": lambda: (numbers(), numbers().astype(">f8")),
    "six decimals": lambda: (numbers(), numbers().round(6)),
    "six digits": lambda: (numbers(), np.char.mod("%.6g", numbers()).astype(float)),
    "from six digits": lambda: (numbers().round(6), numbers()),
    "shuffled": lambda: (numbers(), numbers()[np.random.default_rng(1).permutation(400)]),
    "every row twice": lambda: (np.repeat(numbers(), 2, axis=0), np.repeat(numbers(), 2, axis=0)),
    "twice in fit": lambda: (np.tile(numbers(), (2, 1)), numbers()),
    "three times in fit": lambda: (np.tile(numbers(), (3, 1)), numbers()),
}


@pytest.mark.parametrize("kind", TWINS)
def test_copies_in_another_dress_are_known_again(kind):
    certificate = certified(*TWINS[kind](), base=make_pipeline(Nothing(), DummyClassifier(strategy="prior")))
    assert certificate.disjoint is False
    assert not certificate.guaranteed


@pytest.mark.parametrize("leaked", [1, 3, 10, 60])
@pytest.mark.parametrize("dress", ["array", "float32", "nested list", "csr"])
def test_a_few_leaked_rows_are_counted(leaked, dress):
    rows, fresh = numbers(500, 0), numbers(500, 1)
    fresh[:leaked] = rows[-leaked:]
    cast = {
        "array": np.asarray,
        "float32": lambda X: X.astype("float32"),
        "nested list": np.ndarray.tolist,
        "csr": sp.csr_matrix,
    }[dress]
    certificate = certified(cast(rows), cast(fresh))
    if leaked >= 10:  # a row or two may be chance, and are only counted
        assert certificate.disjoint is False
        assert not certificate.guaranteed
    assert certificate.seen == leaked
    assert any(str(leaked) in line and ("seen" in line or "fit" in line) for line in str(certificate).splitlines())


def test_a_leak_warns_with_its_number():
    rows, fresh = numbers(500, 0), numbers(500, 1)
    fresh[:10] = rows[:10]
    fitted = quiet(abstain.SelectiveClassifier(LogisticRegression(), cv=2).fit, rows, labels(500))
    with pytest.warns(OverlapWarning, match="10 of"):
        fitted.fit_policy(fresh, labels(500))


@pytest.mark.parametrize("kinds", [2, 8, 30])
def test_a_source_that_repeats_is_no_leak(kinds):
    patterns, draw = numbers(kinds, 5), np.random.default_rng(0)
    seen, fresh = (patterns[draw.integers(kinds, size=n)] for n in (400, 200))
    assert certified(seen, fresh).disjoint is not False


@pytest.mark.parametrize("kinds", [60, 110])
def test_a_training_set_without_repeats_from_a_source_that_repeats_is_no_leak(kinds):
    patterns, draw = numbers(kinds, 5), np.random.default_rng(0)
    assert certified(patterns, patterns[draw.integers(kinds, size=200)]).disjoint is not False


@pytest.mark.parametrize("blank", [np.zeros(4), np.ones(4), np.array([1.0, 0, 0, 0])], ids=str)
def test_one_blank_row_is_no_leak(blank):
    rows, fresh = numbers(400, 0), numbers(400, 1)
    rows[7] = blank
    fresh[::13] = blank
    assert certified(rows, fresh).disjoint is not False


class Rows:
    """Rows that nobody can look into, such as a data set of a network."""

    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, rows):
        return object() if np.ndim(rows) == 0 and not isinstance(rows, slice) else Rows(np.arange(self.n)[rows].size)


def test_rows_that_cannot_be_compared_are_not_guaranteed():
    certificate = certified(Rows(400), Rows(400))
    assert certificate.disjoint is None
    assert not certificate.guaranteed


def test_dictionaries_are_compared_or_not_guaranteed():
    rows = [{"a": x, "b": str(k)} for k, x in enumerate(numbers(300)[:, 0].tolist())]
    base = make_pipeline(DictVectorizer(), LogisticRegression())
    certificate = certified(rows, rows, base=base)
    assert certificate.disjoint is not True
    assert not certificate.guaranteed


@pytest.mark.parametrize("dress", ["nested list", "csr", "array"])
def test_a_forest_does_not_certify_what_it_has_learnt_by_heart(dress):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 4)), rng.integers(2, size=300)
    cast = {"nested list": np.ndarray.tolist, "csr": sp.csr_matrix, "array": np.asarray}[dress]
    base = RandomForestClassifier(20, random_state=0)
    fitted = quiet(abstain.SelectiveClassifier(base, cv=2).fit, cast(X), y)
    quiet(fitted.fit_policy, cast(X), y, abstain.TargetRisk(0.1))
    assert fitted.policy_.certificate_.seen == 300
    assert not fitted.policy_.certificate_.guaranteed


def test_texts_behind_a_vectoriser_are_compared():
    rows = words(300, 0)
    base = make_pipeline(CountVectorizer(token_pattern=r"\w"), LogisticRegression())
    assert certified(rows, rows, base=base).disjoint is False
    assert certified(rows, words(300, 1), base=base).disjoint is True


def test_rows_behind_transformers_and_searches_are_compared():
    X, y = numbers(300), labels(300)
    pipeline = make_pipeline(StandardScaler(), abstain.SelectiveClassifier(LogisticRegression(), cv=2))
    search = GridSearchCV(pipeline, {"selectiveclassifier__policy": [abstain.TargetCoverage(0.8)]}, cv=2)
    for model in (pipeline, search):
        quiet(model.fit, X, y)
        assert quiet(abstain.fit_policy, model, X, y).certificate_.disjoint is False
        assert quiet(abstain.fit_policy, model, numbers(300, 1), y).certificate_.disjoint is True


def test_rows_of_a_frozen_classifier_are_compared():
    X, y = numbers(300), labels(300)
    base = FrozenEstimator(LogisticRegression().fit(numbers(100, 9), labels(100)))
    assert certified(X, X.tolist(), base=base).disjoint is False
    assert y.size


@pytest.mark.parametrize("clf", [abstain.SelectiveClassifier(cv=2), abstain.CorrectnessTrust(cv=2)], ids=repr)
def test_rows_are_hashed_once(clf, monkeypatch):
    """Once in fit and never in a decision: hashing 100,000 rows takes longer than fitting a head to them."""
    made, X, y = [], numbers(), (numbers()[:, 0] > 0).astype(int)
    make = RowPrints.__init__
    monkeypatch.setattr(RowPrints, "__init__", lambda self, rows: made.append(len(rows)) or make(self, rows))
    fitted = quiet(clf.fit, X, y)
    fitted.decide(X)
    assert made == [400]
    quiet(fitted.fit_policy, numbers(300, 1), labels(300))
    assert made == [400]


def test_arrays_given_by_hand_are_the_word_of_the_caller():
    score = np.random.default_rng(0).random(500)
    correct = np.ones(500, bool)
    assert abstain.TargetRisk(0.1).fit(score, correct).certificate_.guaranteed
    assert abstain.TargetRisk(0.1).fit(score, correct, disjoint=True).certificate_.guaranteed
    assert not abstain.TargetRisk(0.1).fit(score, correct, disjoint=False).certificate_.guaranteed

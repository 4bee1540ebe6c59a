"""Classifiers from elsewhere: saved outputs, and torch modules."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import abstain
from abstain import CorrectnessTrust, SelectiveClassifier, TargetRisk, saved_outputs, torch_classifier

LABELS = np.array(["cat", "dog", "emu"])


@pytest.fixture
def saved():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 3, 600)
    return rng.normal(size=(600, 3)) + 2 * np.eye(3)[codes], LABELS[codes]


@pytest.mark.parametrize("kind", ["logits", "proba"])
def test_what_was_saved_is_said_again(saved, kind):
    logits, y = saved
    data = logits if kind == "logits" else softmax(logits, axis=1)
    classifier = saved_outputs(LABELS, kind)
    np.testing.assert_allclose(classifier.predict_proba(data), softmax(logits, axis=1), rtol=1e-12)
    np.testing.assert_array_equal(classifier.predict(data), LABELS[logits.argmax(axis=1)])
    assert hasattr(classifier, "decision_function") == (kind == "logits")
    est = SelectiveClassifier(classifier).fit_policy(data[:400], y[:400], TargetRisk(0.2))
    np.testing.assert_array_equal(est.predict(data), classifier.predict(data))
    broken = data.copy()
    broken[5] = np.nan
    assert np.flatnonzero(np.isnan(est.score_samples(broken))).tolist() == [5]


def test_logits_are_declared_and_learnt_from(saved):
    logits, y = saved
    est = CorrectnessTrust(saved_outputs(LABELS), response_method="decision_function", cv=2).fit(logits, y)
    assert est.score_samples(logits).std() > 0


def test_numbers_of_classes_are_their_labels():
    assert saved_outputs(3).classes_.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: saved_outputs(1), "classes"), (lambda: saved_outputs(["b", "a"]), "sorted and distinct"),
        (lambda: saved_outputs(3, "log"), "kind must be one of"),
        (lambda: saved_outputs(3).predict_proba(np.zeros((2, 4))), "one column for each of 3 classes; got 4"),
        (lambda: saved_outputs(3, "proba").predict_proba(np.full((2, 3), -1.0)), 'pass kind="logits"'),
    ],
)  # fmt: skip
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_saved_outputs_are_saved(saved, tmp_path):
    pytest.importorskip("skops")
    logits, y = saved
    est = SelectiveClassifier(saved_outputs(LABELS)).fit_policy(logits, y, TargetRisk(0.2))
    abstain.save(est, tmp_path / "saved.abstain")
    np.testing.assert_array_equal(abstain.load(tmp_path / "saved.abstain").decide(logits), est.decide(logits))


@pytest.fixture
def network():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.5), torch.nn.ReLU(), torch.nn.Linear(8, 3))


def test_a_module_is_a_classifier(network):
    import torch

    X = np.random.default_rng(0).normal(size=(50, 4))
    network.train()
    classifier = torch_classifier(network, LABELS, batch_size=7)
    assert isinstance(classifier, FrozenEstimator)
    found = classifier.decision_function(X)
    assert network.training  # as it was
    network.eval()
    with torch.inference_mode():
        np.testing.assert_allclose(found, network(torch.tensor(X).float()).numpy(), atol=1e-6)
    for data in (torch.tensor(X), X.astype(np.float32), X.tolist()):
        np.testing.assert_allclose(classifier.decision_function(data), found, atol=1e-6)
    np.testing.assert_allclose(classifier.predict_proba(X), softmax(found, axis=1))


def test_a_module_is_trusted_and_cloned(network):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 4)), LABELS[rng.integers(0, 3, 300)]
    est = CorrectnessTrust(torch_classifier(network, LABELS), cv=2, random_state=0)
    again = clone(est).fit(X, y)
    np.testing.assert_array_equal(again.predict(X), est.fit(X, y).predict(X))


def test_images_go_through_a_module_as_tensors():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Flatten(), torch.nn.Linear(72, 3))
    images = torch.rand(120, 1, 8, 8)
    y = LABELS[np.arange(120) % 3]
    est = SelectiveClassifier(torch_classifier(network, LABELS)).fit_policy(images, y)
    assert est.decide(images).shape == (120,)


@pytest.mark.parametrize("shape", [(1,), ()])
def test_one_output_is_the_log_odds_of_the_second_class(shape):
    torch = pytest.importorskip("torch")

    class One(torch.nn.Module):
        def forward(self, x):
            return x.sum(dim=1).reshape(-1, *shape)

    X = np.random.default_rng(0).normal(size=(20, 4))
    proba = torch_classifier(One(), 2).predict_proba(X)
    np.testing.assert_allclose(proba[:, 1], 1 / (1 + np.exp(-X.sum(axis=1))), rtol=1e-5)


def test_what_is_no_module_is_named():
    pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"module must be a torch\.nn\.Module; got 'resnet50'"):
        torch_classifier("resnet50", 3)


def test_rows_that_were_not_saved_need_no_fit_before(saved):
    logits, y = saved
    logits[3] = np.nan
    est = SelectiveClassifier(saved_outputs(LABELS)).fit_policy(logits, y, TargetRisk(0.2))
    assert est.policy_.certificate_.unscored == 1
    assert est.policy_.certificate_.n == len(y)


def test_a_refused_row_needs_no_fit_before_either():
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=300), "town": rng.choice(["u", "v"], 300)})
    y = (frame["a"] + rng.normal(size=300) > 0).to_numpy()
    columns = make_column_transformer((StandardScaler(), ["a"]), (OneHotEncoder(), ["town"]))
    model = make_pipeline(columns, LogisticRegression()).fit(frame[:100], y[:100])
    frame.loc[[150, 250], "a"] = np.nan
    est = SelectiveClassifier(FrozenEstimator(model)).fit_policy(frame[100:], y[100:], TargetRisk(0.4))
    assert (est.policy_.certificate_.n, est.policy_.certificate_.unscored) == (200, 2)


def test_data_of_any_kind_go_through_a_module_or_are_refused_in_words(network):
    torch = pytest.importorskip("torch")
    pd = pytest.importorskip("pandas")
    classifier = torch_classifier(network, LABELS)
    X = np.random.default_rng(0).normal(size=(20, 4))
    expected = classifier.predict_proba(X)
    for same in (pd.DataFrame(X), np.asfortranarray(X)):
        np.testing.assert_allclose(classifier.predict_proba(same), expected, rtol=1e-6)
    np.testing.assert_allclose(classifier.predict_proba(X[::-1]), expected[::-1], rtol=1e-5)
    assert classifier.predict_proba(X[:0]).shape == (0, 3)
    for wrong in (np.ones((2, 4), dtype=int), np.ones((2, 5))):
        with pytest.raises(ValueError, match="does not take a batch of shape"):
            classifier.predict_proba(wrong)

    class Two(torch.nn.Module):
        def forward(self, x):
            return x, x

    with pytest.raises(TypeError, match="must return a tensor of logits; got tuple"):
        torch_classifier(Two(), 4).predict_proba(X)


def test_a_module_with_other_outputs_is_named(network):
    with pytest.raises(ValueError, match="one column for each of 5 classes; got 3"):
        torch_classifier(network, 5).predict_proba(np.zeros((2, 4)))

"""Real networks and features, where the shared data folder is there."""

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

import abstain
from abstain.metrics import aurc
from abstain.scores import max_probability

pytestmark = pytest.mark.data


def test_imagenet_logits_without_a_network(data_folder):
    saved = np.load(data_folder / "imagenet_sample_lite0.npz")
    features, labels = saved["features"].astype(np.float32), saved["labels"]
    head = abstain.linear_head(saved["fc_weight"], saved["fc_bias"])
    assert (head.predict(features) == labels).mean() == pytest.approx(0.776, abs=0.002)
    half = np.random.default_rng(0).permutation(1000)
    model = abstain.CorrectnessTrust(head, random_state=0).fit(features[half[:500]], labels[half[:500]])
    test = half[500:]
    correct = model.predict(features[test]) == labels[test]
    ratio = aurc(correct, model.score_samples(features[test])) / aurc(
        correct, max_probability(model.predict_proba(features[test]))
    )
    assert ratio < 1.15  # 110 errors and 1280 features: the guard is that it does no harm


def test_a_head_beats_maximum_probability_on_letters(data_folder):
    data = np.load(data_folder / "tabular.npz")
    X, y = data["letter_X"], data["letter_y"]
    rows = np.random.default_rng(0).permutation(len(y))
    train, test = rows[:6000], rows[6000:]
    model = abstain.SteepSlopeTrust(LogisticRegression(max_iter=300), cv=3, random_state=0).fit(X[train], y[train])
    correct = model.predict(X[test]) == y[test]
    assert model.report_.high < 0
    ratio = aurc(correct, model.score_samples(X[test])) / aurc(correct, max_probability(model.predict_proba(X[test])))
    assert ratio < 0.9


def test_a_guarantee_on_banking77(data_folder):
    data = np.load(data_folder / "banking77_minilm.npz")
    X, y = data["train_features"].astype(np.float32), data["train_labels"]
    rows = np.random.default_rng(0).permutation(len(y))
    net = LogisticRegression(C=10, max_iter=200).fit(X[rows[:5000]], y[rows[:5000]])
    model = abstain.SelectiveClassifier(FrozenEstimator(net)).fit(X[rows[5000:6000]], y[rows[5000:6000]])
    model.fit_policy(X[rows[6000:]], y[rows[6000:]], abstain.TargetRisk(0.03))
    assert model.policy_.certificate_.guaranteed
    X_test, y_test = data["test_features"].astype(np.float32), data["test_labels"]
    answered = model.accept(X_test)
    assert answered.mean() > 0.6
    assert (model.predict(X_test) != y_test)[answered].mean() < 0.04


def test_auto_trust_beats_maximum_probability_on_satimage(data_folder):
    data = np.load(data_folder / "tabular.npz")
    X, y = data["satimage_X"], data["satimage_y"]
    rows = np.random.default_rng(0).permutation(len(y))
    train, test = rows[:2500], rows[2500:]
    model = abstain.AutoTrust(abstain.LinearProbe(), budget="fast", cv=3, random_state=0).fit(X[train], y[train])
    correct = model.predict(X[test]) == y[test]
    ratio = aurc(correct, model.score_samples(X[test])) / aurc(correct, max_probability(model.predict_proba(X[test])))
    assert model.report_.chosen == "stack"
    assert ratio < 0.75


def test_label_flips_are_found_in_embeddings(data_folder):
    data = np.load(data_folder / "banking77_minilm.npz")
    X, y = data["train_features"].astype(np.float32), data["train_labels"]
    rng = np.random.default_rng(0)
    flipped = rng.random(len(y)) < 0.05
    labels = np.where(flipped, (y + rng.integers(1, 77, len(y))) % 77, y)
    difficulty = abstain.RelativeMahalanobis().fit(X, labels).training_difficulty(X, labels)
    assert roc_auc_score(flipped, difficulty) > 0.97

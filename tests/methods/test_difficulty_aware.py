"""The difficulty-weighted probe."""

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator

from abstain import DifficultyAwareClassifier, LinearProbe, NearestNeighbours, RelativeMahalanobis
from abstain.scores import difficulty_weights
from abstain.warnings import SparseWeightsWarning


def test_alpha_zero_is_the_plain_probe(problem):
    X, y, X_new, *_ = problem
    aware = DifficultyAwareClassifier(alpha=0.0, cv=2, random_state=0).fit(X, y)
    np.testing.assert_allclose(aware.predict_proba(X_new), LinearProbe().fit(X, y).predict_proba(X_new), atol=1e-3)


class Easy(RelativeMahalanobis):
    """Takes the easy samples for the hard ones."""

    def training_difficulty(self, X, y):
        return -super().training_difficulty(X, y)


def test_hard_samples_are_held_back(problem):
    """They keep more entropy than where the same weights fall on the easy ones."""
    X, y, *_ = problem
    entropy = {}
    for scorer in (RelativeMahalanobis(), Easy()):
        aware = DifficultyAwareClassifier(1.0, scale="rank", temperature=0.2, difficulty=scorer, cv=2, random_state=0)
        p = aware.fit(X, y).predict_proba(X)
        entropy[type(scorer)] = -(p * np.log(p)).sum(axis=1)
    hard = RelativeMahalanobis().fit(X, y).training_difficulty(X, y) > 0
    gain = entropy[RelativeMahalanobis] - entropy[Easy]
    assert gain[hard].mean() > gain[~hard].mean()
    plain = LinearProbe().fit(X, y).predict_proba(X)
    assert entropy[RelativeMahalanobis].mean() > -(plain * np.log(plain)).sum(axis=1).mean()


def test_weights_are_those_of_the_difficulty(problem):
    X, y, *_ = problem
    aware = DifficultyAwareClassifier(cv=2, random_state=0).fit(X, y)
    expected = RelativeMahalanobis().fit(X, y).training_difficulty(X, y)
    np.testing.assert_allclose(aware.difficulty_, expected)
    np.testing.assert_allclose(aware.weights_, difficulty_weights(expected))
    assert 1 < aware.effective_size_ < len(y)


def test_difficulty_may_come_from_other_features(problem, rng):
    X, y, *_ = problem
    other = rng.normal(size=(len(y), 3)) + 4 * np.eye(4)[y][:, :3]
    aware = DifficultyAwareClassifier(cv=2, random_state=0).fit(X, y, difficulty_features=other)
    np.testing.assert_allclose(aware.difficulty_, RelativeMahalanobis().fit(other, y).training_difficulty(other, y))
    assert aware.n_features_in_ == X.shape[1]
    with pytest.raises(ValueError, match="difficulty_features has 599 rows for 600 samples"):
        DifficultyAwareClassifier().fit(X, y, difficulty_features=other[:-1])


def test_flipped_labels_are_the_most_difficult(problem, rng):
    X, y, *_ = problem
    flipped = rng.random(len(y)) < 0.05
    labels = np.where(flipped, (y + 1) % 4, y)
    found = DifficultyAwareClassifier(cv=2, random_state=0).fit(3 * X, labels).difficulty_
    assert flipped[np.argsort(found)[-flipped.sum() // 2 :]].mean() > 2 * flipped.mean()


def test_held_out_scores_have_not_seen_the_sample(rng):
    """With random labels and more features than samples, in-sample accuracy would be 1."""
    X, y = rng.normal(size=(120, 150)), rng.integers(0, 2, 120)
    aware = DifficultyAwareClassifier(cv=3, random_state=0).fit(X, y)
    certificate = aware.policy_.certificate_
    assert aware.score(X, y) == 1.0
    assert certificate.errors / certificate.accepted > 0.3


def test_sparse_weights_are_told(problem):
    X, y, *_ = problem
    with pytest.warns(SparseWeightsWarning, match="temperature"):
        DifficultyAwareClassifier(scale="raw", temperature=0.05, cv=2).fit(X, y)


def test_two_classes_have_the_penalty_of_the_probe(problem):
    X, y, X_new, *_ = problem
    aware = DifficultyAwareClassifier(0.0, l2=50.0, cv=2, random_state=0).fit(X, y > 1)
    np.testing.assert_allclose(
        aware.predict_proba(X_new), LinearProbe(50.0).fit(X, y > 1).predict_proba(X_new), atol=1e-6
    )


def test_a_frozen_difficulty_sees_the_labels(problem):
    X, y, *_ = problem
    names = np.array(list("abcd"))
    frozen = FrozenEstimator(RelativeMahalanobis().fit(X, names[y]))
    there = y > 0
    aware = DifficultyAwareClassifier(difficulty=frozen, cv=2, random_state=0).fit(X[there], names[y[there]])
    np.testing.assert_allclose(aware.difficulty_, frozen.training_difficulty(X[there], names[y[there]]))


@pytest.mark.parametrize(("name", "value"), [("l2", -1.0), ("l2", "auto"), ("alpha", -1.0), ("scale", "x")])
def test_bad_parameters_are_named(name, value, problem):
    with pytest.raises(ValueError, match=name):
        DifficultyAwareClassifier(**{name: value}).fit(*problem[:2])


def test_a_scorer_without_training_difficulty_is_refused(problem):
    with pytest.raises(TypeError, match="training_difficulty"):
        DifficultyAwareClassifier(difficulty=NearestNeighbours()).fit(*problem[:2])

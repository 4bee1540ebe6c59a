"""The kernel's opinion: a logistic regression on nearness to landmarks, against scikit-learn's."""

import numpy as np
import pytest
from made import made_view
from sklearn.linear_model import LogisticRegression

from abstain.methods.auto import opinions
from abstain.methods.auto.opinions import KernelOpinion, Landmarks


def rings(rng, n):
    codes = rng.integers(0, 3, n)
    angle, radius = rng.uniform(0, 2 * np.pi, n), 1 + codes + 0.15 * rng.normal(size=n)
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle), rng.normal(size=n)]), codes


def test_nearness_of_landmarks_is_white(rng):
    marks = Landmarks(rng.normal(size=(60, 2)), 0)
    among = marks.nearness(marks.rows * marks.scale + marks.mean).astype(float) + 1e-3 * np.eye(60)
    whitening = marks.whitening().astype(float)
    np.testing.assert_allclose(whitening.T @ among @ whitening, np.eye(60), atol=2e-2)


@pytest.mark.parametrize("among", [600, 60])
def test_it_tells_apart_what_no_line_does(rng, monkeypatch, among):
    monkeypatch.setattr(opinions, "Landmarks", lambda features, seed: Landmarks(features[:among], seed))
    X, codes = rings(rng, 600)
    new, truth = rings(rng, 2000)
    log_proba = KernelOpinion(np.arange(3), 0).fit(made_view(X), codes).log_proba(new)
    assert (log_proba.argmax(axis=1) == truth).mean() > 0.95
    np.testing.assert_allclose(np.exp(log_proba).sum(axis=1), 1)


def test_it_is_about_what_scikit_learn_finds(rng):
    """It stops early: the likelihood is as good, the weights are not the same."""
    X, codes = rings(rng, 500)
    new, truth = rings(rng, 2000)
    opinion = KernelOpinion(np.arange(3), 0).fit(made_view(X), codes)
    near, whitening = opinion.landmarks_.nearness, opinion.landmarks_.whitening()
    model = LogisticRegression(C=1e3, max_iter=2000).fit(near(X) @ whitening, codes)
    at = np.arange(2000), truth
    theirs = model.predict_log_proba(near(new) @ whitening)[at].mean()
    assert opinion.log_proba(new)[at].mean() > theirs - 0.03


def test_columns_that_are_constant_and_samples_that_are_copies(rng):
    X, codes = np.ones((50, 3)), rng.integers(0, 2, 50)
    log_proba = KernelOpinion(np.arange(2), 0).fit(made_view(X), codes).log_proba(X[:2])
    np.testing.assert_allclose(np.exp(log_proba[:, 1]), codes.mean(), atol=0.02)

"""Votes of similar samples, by brute force, and never surer than copies allow."""

from types import SimpleNamespace

import numpy as np
import pytest
from made import made_view
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import cosine_distances

import abstain
from abstain.methods.auto.similarity import SimilarityVote, Sphere
from abstain.methods.auto.sources import class_sources

CLASSES = np.arange(3)


def drawn(rng, n, d=100):
    codes = rng.integers(0, 3, n)
    return np.abs(rng.normal(size=(3, d)))[codes] + rng.normal(size=(n, d)), codes


def voted(X, codes, new, answer):
    view = made_view(new, np.log(np.eye(3)[answer] * 0.7 + 0.1), classes=CLASSES)
    sphere = Sphere(X, 0)
    return SimilarityVote(CLASSES, 0, sphere).fit(made_view(X), codes).columns(view), sphere


def test_a_sample_counts_by_its_angle(rng):
    X, codes = drawn(rng, 150)
    new, answer = rng.normal(size=(40, 100)), rng.integers(0, 3, 40)
    columns, sphere = voted(X, codes, new, answer)
    among = cosine_distances(X)
    np.fill_diagonal(among, np.inf)
    np.testing.assert_allclose(sphere.gap, np.median(among.min(axis=1)))
    log_votes = -8 * np.maximum(cosine_distances(new, X), sphere.floor) / sphere.gap
    of_class = np.column_stack([logsumexp(log_votes[:, codes == k], axis=1) for k in CLASSES])
    own, others = of_class[np.arange(40), answer], of_class.copy()
    others[np.arange(40), answer] = -np.inf
    raw = np.column_stack([own - logsumexp(others, axis=1), own - others.max(axis=1)])
    assert (np.sign(columns) == np.sign(raw)).all()
    within = np.abs(raw) < 5  # beyond the odds of one in a million, log-odds are compressed
    assert within.mean() > 0.3
    np.testing.assert_allclose(columns[within], raw[within], rtol=1e-6)
    for column, wanted in zip(columns.T, raw.T, strict=True):
        np.testing.assert_array_equal(np.argsort(column), np.argsort(wanted))


@pytest.mark.parametrize("change", [lambda X: 1000 * X, lambda X: X * np.linspace(0.5, 2, len(X))[:, None]])
def test_lengths_of_samples_say_nothing(rng, change):
    X, codes = drawn(rng, 200)
    new = X[:50] + 0.1
    kept = voted(X, codes, new, codes[:50])[0]
    same = voted(X, codes, change(new), codes[:50])[0]
    np.testing.assert_allclose(same, kept, rtol=1e-9)


def test_the_same_alone_and_among_others_and_in_any_order_of_the_samples(rng):
    X, codes = drawn(rng, 300)
    new, answer = X[:60] + rng.normal(size=(60, 100)), codes[:60]
    whole = voted(X, codes, new, answer)[0]
    alone = np.concatenate([voted(X, codes, new[[i]], answer[[i]])[0] for i in range(0, 60, 7)])
    np.testing.assert_allclose(alone, whole[::7], rtol=1e-9)
    order = rng.permutation(300)
    np.testing.assert_allclose(voted(X[order], codes[order], new, answer)[0], whole, rtol=1e-6)


def test_how_close_samples_lie_does_not_hang_on_their_order(rng):
    """Classes of different width, one after the other."""
    codes = np.repeat(CLASSES, 1000)
    X = 0.4 * rng.normal(size=(3, 80))[codes] + np.array([0.02, 1, 1])[codes][:, None] * rng.normal(size=(3000, 80))
    spheres = [Sphere(X[order], 0) for order in (slice(None), slice(None, None, -1), rng.permutation(3000))]
    np.testing.assert_allclose([sphere.gap for sphere in spheres], spheres[0].gap, rtol=0.15)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
@pytest.mark.parametrize("d", [80, 200])
def test_lengths_beyond_the_squares_of_floats(rng, scale, d):
    X, codes = drawn(rng, 150, d)
    found = voted(scale * X, codes, scale * X[:20], codes[:20])[0]
    np.testing.assert_allclose(found, voted(X, codes, X[:20], codes[:20])[0], rtol=1e-6)


def test_copies_with_another_label_do_not_come_out_certain(rng):
    X, codes = drawn(rng, 400)
    X[200:] = X[:200] * rng.uniform(0.5, 2, size=(200, 1))
    codes[200:] = rng.integers(0, 3, 200)
    columns, sphere = voted(X, codes, X[200:], codes[200:])
    assert sphere.gap > 0
    assert np.isfinite(columns).all()
    wrong = codes[200:] != codes[:200]
    assert np.abs(columns[wrong]).max() < 2  # the original, as near, says otherwise


def test_samples_without_direction_and_classes_without_samples(rng):
    X, codes = drawn(rng, 100)
    X[:3] = 0
    codes[codes == 2] = 1
    columns = voted(X, codes, np.vstack([np.zeros((1, 100)), X[:5]]), np.array([2, 2, 0, 0, 1, 1]))[0]
    assert np.isfinite(columns).all()
    assert (columns[:2] < -10).all()


def test_only_where_features_are_many(rng):
    for d, there in ((64, False), (65, True)):
        X, codes = drawn(rng, 120, d)
        view = made_view(X, np.log(np.full((120, 3), 1 / 3)), classes=CLASSES)
        outcome = SimpleNamespace(codes=codes, outputs=view.outputs)
        found = class_sources(view, outcome, [None] * 5, thorough=False, n_jobs=None, seed=0)
        assert ("similarity vote" in [source.name for source in found]) == there


def without_votes(*given, **options):
    return [source for source in class_sources(*given, **options) if source.name != "similarity vote"]


def test_a_stack_on_many_features_ranks_better_with_it_and_can_be_saved(rng, tmp_path, monkeypatch):
    """Each class has many directions of its own, which a linear classifier cannot tell apart."""
    centres, labels = rng.normal(size=(60, 80)), rng.integers(0, 6, 60)
    member = rng.integers(0, 60, 3000)
    X, y = centres[member] + 2 * rng.normal(size=(3000, 80)), labels[member]
    X *= rng.lognormal(size=(3000, 1))  # lengths are noise
    fitted = abstain.AutoTrust(LogisticRegression(), budget="fast", random_state=0).fit(X[:1500], y[:1500])
    monkeypatch.setattr("abstain.methods.auto.stack.class_sources", without_votes)
    without = abstain.AutoTrust(LogisticRegression(), budget="fast", random_state=0).fit(X[:1500], y[:1500])
    correct = fitted.predict(X[1500:]) == y[1500:]
    score, plain = (est.score_samples(X[1500:]) for est in (fitted, without))
    assert abstain.metrics.aurc(correct, score) < 0.9 * abstain.metrics.aurc(correct, plain)
    pytest.importorskip("skops")
    pytest.importorskip("safetensors")
    abstain.save(fitted, tmp_path / "trust.abstain")
    np.testing.assert_array_equal(abstain.load(tmp_path / "trust.abstain").score_samples(X[1500:]), score)

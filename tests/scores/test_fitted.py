"""Scores with a fit: MaxLogit-pNorm, REL-U, SIRC."""

import tracemalloc

import numpy as np
import pytest
from made import made_view
from scipy.special import softmax
from scipy.stats import rankdata

from abstain import ViM
from abstain.metrics import aurc
from abstain.scores import SIRC, MaxLogitPNorm, RelU, energy, max_probability
from abstain.warnings import TargetRangeWarning


@pytest.fixture
def sample(rng):
    logits = rng.normal(size=(800, 5)) * rng.uniform(0.5, 4, size=(800, 1))
    y = np.array([rng.choice(5, p=p) for p in softmax(logits, axis=1)])
    return logits, logits.argmax(axis=1) == y


def test_pnorm_by_definition(sample):
    logits, correct = sample
    centred = logits - logits.mean(axis=1, keepdims=True)
    for p in (1, 2, 5):
        scorer = MaxLogitPNorm(exponents=(p,)).fit(logits, correct)
        scorer.p_ = p
        expected = centred.max(axis=1) / (np.abs(centred) ** p).sum(axis=1) ** (1 / p)
        np.testing.assert_allclose(scorer.score_samples(logits), expected)


def test_pnorm_takes_the_best_and_falls_back(sample):
    logits, correct = sample
    scorer = MaxLogitPNorm().fit(logits, correct)
    best = aurc(correct, scorer.score_samples(logits))
    assert best <= aurc(correct, max_probability(logits, input="logits"))
    binary = MaxLogitPNorm().fit(logits[:, :2], correct)
    assert binary.p_ is None
    np.testing.assert_allclose(binary.score_samples(logits[:, :2]), max_probability(logits[:, :2], input="logits"))


def test_pnorm_mends_a_network_with_random_temperature(rng):
    """Each row's logits are scaled at random: maximum probability is broken, the norm undoes it."""
    clean = rng.normal(size=(3000, 6))
    y = np.array([rng.choice(6, p=p) for p in softmax(2 * clean, axis=1)])
    broken = clean * rng.uniform(0.2, 5, size=(3000, 1))
    correct = broken.argmax(axis=1) == y
    scorer = MaxLogitPNorm().fit(broken[:1500], correct[:1500])
    assert scorer.p_ not in (None, 0)
    mended = aurc(correct[1500:], scorer.score_samples(broken[1500:]))
    assert mended < 0.95 * aurc(correct[1500:], max_probability(broken[1500:], input="logits"))


def test_relu_by_definition(sample):
    logits, correct = sample
    p = softmax(logits, axis=1)
    outer = p[:, :, None] * p[:, None, :]
    D = np.maximum(0.7 * outer[~correct].mean(axis=0) - 0.3 * outer[correct].mean(axis=0), 0)
    np.fill_diagonal(D, 0)
    D /= np.linalg.norm(D)
    scorer = RelU(lam=0.7).fit(logits, correct)
    np.testing.assert_allclose(scorer.matrix_, D)
    np.testing.assert_allclose(scorer.score_samples(logits), -np.einsum("ij,jk,ik->i", p, D, p))


def test_relu_reduces_to_gini(sample):
    logits, correct = sample
    binary = RelU().fit(logits[:, :2], correct).score_samples(logits[:, :2])
    p = softmax(logits[:, :2], axis=1)
    order = np.argsort(p[:, 0] * p[:, 1])
    assert (np.diff(binary[order]) <= 1e-12).all()
    empty = RelU(lam=1e-9).fit(logits, correct)
    np.testing.assert_allclose(empty.matrix_, (1 - np.eye(5)) / np.sqrt(20))
    p = softmax(logits, axis=1)
    np.testing.assert_allclose(empty.score_samples(logits), -(1 - (p**2).sum(axis=1)) / np.sqrt(20))


def test_relu_learns_which_pairs_are_confused(rng):
    logits = np.log(np.array([[0.6, 0.4, 1e-9], [1e-9, 0.6, 0.4]]))[np.arange(2000) % 2]
    correct = np.where(np.arange(2000) % 2 == 0, rng.random(2000) < 0.5, rng.random(2000) < 0.99)
    scores = RelU().fit(logits, correct).score_samples(logits[:2])
    assert scores[0] < scores[1]


def test_sirc_by_definition(sample, rng):
    logits, _ = sample
    features = rng.normal(size=(800, 9)) + 3
    with np.errstate(divide="ignore"):
        inputs = made_view(features, np.log(softmax(logits, axis=1)))
    scorer = SIRC().fit(inputs)
    norm = np.abs(features).sum(axis=1)
    a, b = norm.mean() - 3 * norm.std(), 1 / norm.std()
    p = softmax(logits, axis=1).max(axis=1)
    expected = -(np.log(1 - p) + np.log1p(np.exp(-b * (norm - a))))
    np.testing.assert_allclose(scorer.score_samples(inputs), expected, rtol=1e-7)


def test_sirc_keeps_the_order_of_familiar_data_and_rejects_novel(sample, rng):
    logits, _ = sample
    features = rng.normal(size=(800, 30)) + 3
    log_proba = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    scorer = SIRC().fit(made_view(features, log_proba))
    familiar = scorer.score_samples(made_view(features, log_proba))
    assert np.corrcoef(rankdata(familiar), rankdata(max_probability(logits, input="logits")))[0, 1] > 0.98
    novel = scorer.score_samples(made_view(features / 20, log_proba))
    assert (novel < familiar).all()
    own = SIRC(secondary=lambda F: -np.linalg.norm(F, axis=1)).fit(made_view(features, log_proba))
    assert own.center_ < 0


@pytest.mark.parametrize(
    ("scorer", "to_fit", "to_score"),
    [(SIRC(), 0.5, 2.5), (ViM(), 3, 2), (MaxLogitPNorm(), 3, 3), (RelU(), 3, 3)],
    ids=repr,
)
def test_scores_need_little_more_than_a_plain_matrix(scorer, to_fit, to_score, rng):
    """The matrix is widened once, where it serves as logits; all else is taken block by block."""
    X, right = rng.normal(size=(60_000, 100)).astype(np.float32), rng.random(60_000) < 0.8
    scorer.fit(X[:100], right[:100])  # what is loaded only once does not count
    tracemalloc.start()
    scorer.fit(X, right)
    fitted = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    scorer.score_samples(X)
    scored = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert fitted < to_fit * X.nbytes
    assert scored < to_score * X.nbytes


def test_energy_of_log_probabilities_is_zero(sample):
    logits, _ = sample
    np.testing.assert_allclose(energy(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))), 0, atol=1e-12)


def test_impossible_classes_are_finite(sample):
    logits, correct = sample
    logits = logits.copy()
    logits[::3, 4] = -np.inf
    for scorer in (MaxLogitPNorm(), RelU()):
        assert np.isfinite(scorer.fit(logits, correct).score_samples(logits)).all()


def test_a_common_shift_of_all_logits_changes_nothing(sample):
    """Joint log-likelihoods lie far below zero; only differences count."""
    logits, correct = sample
    for scorer in (MaxLogitPNorm(), RelU()):
        near = scorer.fit(logits, correct).score_samples(logits)
        far = scorer.fit(logits - 3000, correct).score_samples(logits - 3000)
        np.testing.assert_allclose(far, near, rtol=1e-8, atol=1e-12)


def test_graded_targets(sample):
    logits, correct = sample
    graded = np.where(correct, 0.9, 0.2)
    assert RelU().fit(logits, graded).matrix_.max() > 0
    with pytest.warns(TargetRangeWarning, match=r"\[1, 5\].*class labels"):
        stars = MaxLogitPNorm().fit(logits, np.where(correct, 5, 1))
    assert stars.p_ == MaxLogitPNorm().fit(logits, correct).p_


def test_bad_parameters_are_named(sample):
    with pytest.raises(ValueError, match="lam must lie in"):
        RelU(lam=1.0).fit(*sample)

"""ViM by its definition."""

import numpy as np
import pytest
from made import made_view
from scipy.special import logsumexp

from abstain import SelectiveClassifier, ViM


def test_by_definition(rng):
    h, weight, bias = rng.normal(size=(200, 6)), rng.normal(size=(4, 6)), rng.normal(size=4)
    logits = h @ weight.T + bias
    view = made_view(h, logits - logsumexp(logits, axis=1, keepdims=True), logits=logits)
    scorer = ViM(2, weight=weight, bias=bias).fit(view)
    origin = -np.linalg.pinv(weight) @ bias
    _, vectors = np.linalg.eigh((h - origin).T @ (h - origin))
    residual = np.linalg.norm((h - origin) @ vectors[:, :4], axis=1)
    alpha = logits.max(axis=1).mean() / residual.mean()
    np.testing.assert_allclose(scorer.alpha_, alpha)
    np.testing.assert_allclose(scorer.score_samples(view), logsumexp(logits, axis=1) - alpha * residual)


def test_finds_what_leaves_the_principal_subspace(rng):
    seen = rng.normal(size=(500, 10)) * np.r_[np.full(5, 3.0), np.full(5, 0.1)]
    new = rng.normal(size=(100, 10)) * 2
    logits = seen[:, :3]
    scorer = ViM().fit(made_view(seen, logits, logits=logits))
    inside = scorer.score_samples(made_view(seen, logits, logits=logits))
    outside = scorer.score_samples(made_view(new, new[:, :3], logits=new[:, :3]))
    assert np.median(outside) < np.quantile(inside, 0.05)


def test_wrong_use_is_explained(rng, problem):
    X, y, *_ = problem
    with pytest.raises(ValueError, match="needs logits"):
        SelectiveClassifier(scorer=ViM(), cv=2).fit(X, y)
    with pytest.raises(ValueError, match="n_principal"):
        ViM(9).fit(rng.normal(size=(20, 4)))
    with pytest.raises(ValueError, match="weight must have shape"):
        ViM(weight=np.ones((3, 5)), bias=np.ones(3)).fit(rng.normal(size=(20, 4)))
    clf = SelectiveClassifier(scorer=ViM(), response_method="decision_function", cv=2).fit(X, y)
    assert np.isfinite(clf.score_samples(X)).all()


def test_a_bias_alone_has_no_origin(rng):
    with pytest.raises(ValueError, match="bias was given without weight"):
        ViM(2, bias=np.zeros(4)).fit(made_view(rng.normal(size=(50, 6)), None, logits=rng.normal(size=(50, 4))))

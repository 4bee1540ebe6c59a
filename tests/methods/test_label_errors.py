"""Suspect labels: found, with the right suggestion, by models that have not seen them."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.datasets import load_wine, make_classification
from sklearn.model_selection import StratifiedShuffleSplit

from abstain import find_label_errors
from abstain.methods.label_errors import likeliest_mixture


def noisy_labels(rng, n=900, n_classes=4, share=0.06):
    X, truth = make_classification(
        n, 8, n_informative=6, n_classes=n_classes, class_sep=1.6, flip_y=0, random_state=rng.integers(100)
    )
    wrong = rng.random(n) < share
    return X, truth, np.where(wrong, (truth + rng.integers(1, n_classes, n)) % n_classes, truth), wrong


def test_wrong_labels_come_first_with_the_right_suggestion(rng):
    X, truth, labels, wrong = noisy_labels(rng)
    names = np.array(["ant", "bee", "cow", "dog"])
    errors = find_label_errors(X, names[labels], random_state=0)
    first = errors.order[: wrong.sum()]
    assert wrong[first].mean() > 0.8
    found = first[wrong[first]]
    assert (errors.suggested[found] == names[truth[found]]).mean() > 0.9
    assert set(errors.suspects) == set(np.flatnonzero(errors.suggested != names[labels]))
    assert np.all(np.diff(errors.p_given[errors.order]) >= 0)
    assert sorted(errors.order) == list(range(len(labels)))
    text = str(errors)
    assert f"{errors.suspects[0]:>8}" in text
    assert f"{len(errors.suspects)} of 900" in text


def test_copies_in_one_group_do_not_vouch_for_each_other(rng):
    X, _, labels, wrong = noisy_labels(rng, 500)
    X, labels, wrong, groups = np.tile(X, (3, 1)), np.tile(labels, 3), np.tile(wrong, 3), np.tile(np.arange(500), 3)
    precision = {}
    for given in (None, groups):
        order = find_label_errors(X, labels, groups=given, random_state=0).order
        precision[given is None] = wrong[order[: wrong.sum()]].mean()
    assert precision[False] > 0.7
    assert precision[False] > precision[True] + 0.2


def test_same_seed_same_ranking_in_any_order_of_scale(rng):
    X, y = load_wine(return_X_y=True)
    first = find_label_errors(X, y, random_state=3)
    again = find_label_errors(X, y, random_state=3)
    np.testing.assert_array_equal(first.order, again.order)
    np.testing.assert_array_equal(first.p_given, again.p_given)


def test_a_class_of_one_cannot_be_judged(rng):
    X, _, labels, _ = noisy_labels(rng, 300)
    labels = np.append(labels, 9)
    errors = find_label_errors(np.vstack([X, X[:1] + 50]), labels, random_state=0)
    assert np.isnan(errors.p_given[300])
    assert errors.order[-1] == 300
    assert errors.suggested[300] == 9


def test_what_no_fold_has_judged_is_learnt_from(rng):
    """One split: of the rows to learn from nothing is known, which is not a reason to leave them out."""
    codes = np.repeat(np.arange(60), 10)
    X = np.eye(60)[codes] * 10 + rng.normal(size=(600, 60))
    splitter = StratifiedShuffleSplit(1, test_size=0.6, random_state=0)
    errors = find_label_errors(X, codes, cv=splitter, random_state=0)
    judged = ~np.isnan(errors.p_given)
    assert judged.sum() == 360
    assert (errors.suggested == codes)[judged].mean() > 0.8
    assert not judged[errors.order[360:]].any()


def test_the_weights_make_the_labels_likeliest(rng):
    codes = rng.integers(0, 3, 400)
    good = log_softmax(2 * np.eye(3)[codes] + rng.normal(size=(400, 3)), axis=1)
    bad = log_softmax(rng.normal(size=(400, 3)), axis=1)
    weights, pooled = likeliest_mixture([good, bad], codes, np.arange(400))

    def loss(w):
        return -log_softmax(w[0] * good + w[1] * bad, axis=1)[np.arange(400), codes].mean()

    best = minimize(loss, [0.5, 0.5], method="Nelder-Mead").x
    np.testing.assert_allclose(weights, np.maximum(best, 0), atol=0.02)
    np.testing.assert_allclose(np.exp(pooled).sum(axis=1), 1)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [([[1], [2]], [0, 0], "class"), ([[np.nan], [2]], [0, 1], "NaN"), ([[1], [2]], [0, 1, 1], "inconsistent")],
)
def test_malformed_data_are_refused(X, y, message):
    with pytest.raises(ValueError, match=message):
        find_label_errors(X, y)

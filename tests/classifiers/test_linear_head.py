"""A network's last layer as a frozen classifier."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.base import clone

from abstain import linear_head


@pytest.mark.parametrize("n_classes", [2, 3, 50])
def test_softmax_of_the_layer(rng, n_classes):
    weight, bias, X = rng.normal(size=(n_classes, 7)), rng.normal(size=n_classes), rng.normal(size=(20, 7))
    classes = np.array([f"c{i:02d}" for i in range(n_classes)])
    head = linear_head(weight, bias, classes)
    np.testing.assert_allclose(head.predict_proba(X), softmax(X @ weight.T + bias, axis=1), atol=1e-12)
    np.testing.assert_array_equal(head.predict(X), classes[(X @ weight.T + bias).argmax(axis=1)])
    assert clone(head) is head
    assert head.fit(X, np.zeros(20)).predict_proba(X).shape == (20, n_classes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ones(3),), "weight must have shape"),
        ((np.ones((1, 3)),), "2 classes or more"),
        ((np.eye(3), np.zeros(2)), "one entry a row"),
        ((np.eye(3), None, ["b", "a", "c"]), "sorted and distinct"),
        ((np.eye(3), None, ["a", "a", "c"]), "sorted and distinct"),
    ],
)
def test_bad_layers_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        linear_head(*arguments)

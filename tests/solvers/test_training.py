"""Knobs of the loop in clones and searches."""

import pytest
from sklearn.base import clone

from abstain import SteepSlopeTrust, Training


def test_searches_reach_the_knobs():
    estimator = SteepSlopeTrust(training=Training(lr=0.1))
    assert estimator.get_params()["training__lr"] == 0.1
    copied = clone(estimator).set_params(training__lr=0.2, training__epochs=3)
    assert copied.training == Training(lr=0.2, epochs=3)
    assert estimator.training.lr == 0.1


def test_unknown_knobs_are_named():
    with pytest.raises(ValueError, match=r"no parameter 'momentum'; it has \['accumulate', 'amp', 'batch_size'"):
        Training().set_params(momentum=0.9)


@pytest.mark.parametrize("knob", [{"epochs": 0}, {"batch_size": 0}, {"validation_fraction": 1.0}, {"lr": 0.0}])
def test_knobs_out_of_range_are_named(knob):
    with pytest.raises(ValueError, match=next(iter(knob))):
        Training(**knob).check()

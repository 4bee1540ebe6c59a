"""Sources of evidence: held out, and within their time."""

import time

import numpy as np

from abstain.methods.evidence import Clock, Source
from abstain.scores.inputs import HeadInputs


def test_a_slow_source_is_given_up_after_its_first_fold(curved):
    X = curved[0]
    folds = [(np.arange(400), np.arange(400, 800)), (np.arange(400, 800), np.arange(400))]
    asked = []

    def slow(proba):
        asked.append(len(proba))
        time.sleep(0.2)
        return proba.max(axis=1)

    inputs = HeadInputs(X, np.log(np.full((800, 4), 0.25)), classes=np.arange(4))
    found, _ = Source("slow", slow).held_out(inputs, {}, folds, None, Clock(0.3))
    assert found is None
    assert asked == [400]

"""Sources of columns: held out, and within their time."""

import time

import numpy as np
from made import made_view

from abstain.folds import Folds
from abstain.methods.auto.sources import Clock, Source
from abstain.protocols import as_scorer


def test_a_slow_source_is_given_up_after_its_first_fold(curved):
    X = curved[0]
    folds = Folds([(np.arange(400), np.arange(400, 800)), (np.arange(400, 800), np.arange(400))], 800)
    asked = []

    def slow(proba):
        asked.append(len(proba))
        time.sleep(0.2)
        return proba.max(axis=1)

    view = made_view(X, np.log(np.full((800, 4), 0.25)), classes=np.arange(4))
    found, _ = Source("slow", as_scorer(slow)).held_out(view, None, folds, None, Clock(0.3))
    assert found is None
    assert asked == [400]

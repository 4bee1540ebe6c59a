"""Sources of columns: held out, and within their time."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
from made import made_view

from abstain.folds import Folds
from abstain.methods.auto import sources
from abstain.methods.auto.sources import Clock, Source, default_sources
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


@pytest.mark.parametrize(("budget", "calls"), [(5.0, 4), (4.75, 1)])
def test_a_source_is_asked_if_there_is_time_for_all_folds_and_the_last_fit(budget, calls, monkeypatch):
    now, rows = [0.0], np.arange(8)
    monkeypatch.setattr(sources, "time", SimpleNamespace(monotonic=lambda: now[0]))
    asked = []

    def slow(proba):
        asked.append(len(proba))
        now[0] += 1.0
        return proba.max(axis=1)

    view = made_view(rows[:, None], np.log(np.full((8, 4), 0.25)), classes=np.arange(4))
    folds = Folds([(np.delete(rows, [i, i + 1]), rows[i : i + 2]) for i in (0, 2, 4, 6)], 8)
    found, _ = Source("slow", as_scorer(slow)).held_out(view, None, folds, None, Clock(budget))
    assert (found is not None) == (calls == 4)
    assert asked == [2] * calls


def test_second_classifiers_need_two_samples_a_class():
    options = {"n_jobs": None, "seed": 0}
    for n, thorough, expected in ((20, True, 4), (19, True, 2), (20, False, 2)):
        assert len(default_sources(n, 10, thorough=thorough, **options)) == expected

"""Progress without a terminal goes to the log."""

import logging
import sys
from types import SimpleNamespace

import pytest
from small_problems import overlapping, quiet

import abstain
from abstain.utils import progress as module
from abstain.utils.progress import progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test moves."""
    now = [0.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(module, "sys", SimpleNamespace(stderr=SimpleNamespace(isatty=lambda: False), modules={}))
    return now


@pytest.mark.parametrize("where", ["terminal", "notebook"])
def test_whoever_watches_sees_a_bar(where, clock, monkeypatch, caplog):
    bars = pytest.importorskip("rich.progress", reason="needs rich: pip install rich")
    caplog.set_level(logging.INFO, "abstain")
    told = []
    monkeypatch.setattr(bars.Progress, "advance", lambda self, task, k: told.append(k))
    monkeypatch.setattr(module.sys, *(("stderr", sys.stdout) if where == "terminal" else ("modules", {"ipykernel": 1})))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with progress(4, "counting") as advance:
        advance(3)
    assert told == [3]
    assert not caplog.messages


def test_lines_come_every_ten_seconds_and_at_the_end(clock, caplog):
    caplog.set_level(logging.INFO, "abstain")
    with progress(10, "counting") as advance:
        for _ in range(10):
            clock[0] += 4.0
            advance(1)
    assert caplog.messages == [
        "counting: 3 of 10, 12 s, 28 s left", "counting: 6 of 10, 24 s, 16 s left", "counting: 9 of 10, 36 s, 4 s left",
        "counting: 10 of 10, 40 s, 0 s left",
    ]  # fmt: skip


def test_nothing_is_said_unless_asked(clock, caplog, capsys):
    with progress(2, "counting") as advance:
        advance(2)
    assert not [record for record in caplog.records if record.levelno > logging.INFO]
    assert capsys.readouterr() == ("", "")


def test_a_fit_tells_the_log(caplog):
    caplog.set_level(logging.INFO, "abstain")
    X, y = overlapping(300)
    quiet(abstain.AutoTrust(cv=2, budget="fast").fit, X, y)
    assert any("asking sources: 2 of 2" in message for message in caplog.messages)

"""Progress is silent where nobody watches, and a bar where somebody does."""

import io
import sys

import pytest

from abstain.utils.progress import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_silent_without_a_terminal(capsys):
    with progress(3, "work") as advance:
        advance(1)
    assert capsys.readouterr() == ("", "")


def test_a_bar_on_a_terminal(monkeypatch):
    pytest.importorskip("rich", reason="needs rich")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress(3, "reading images") as advance:
        advance(3)
    assert "reading images" in terminal.getvalue()
    assert "100%" in terminal.getvalue()


def test_no_bar_without_rich(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setitem(sys.modules, "rich.console", None)
    with progress(3, "work") as advance:
        advance(1)

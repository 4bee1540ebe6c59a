"""Progress of long work: a bar where a person watches, and rich is installed, and the log elsewhere."""

import logging
import sys
import time
from contextlib import contextmanager

LOG = logging.getLogger("abstain")
_PAUSE = 10.0  # seconds between lines of the log


@contextmanager
def progress(total: int, description: str):
    """Yield a function ``advance(k)`` that says that ``k`` more units are done.

    Without a terminal or a notebook, lines at the level INFO of the logger "abstain" say so, every ten seconds and at
    the end.
    """
    bar = _bar()
    if bar is None:
        yield _Lines(total, description)
        return
    with bar:
        task = bar.add_task(description, total=total)
        yield lambda k: bar.advance(task, k)


def _bar():
    if not (sys.stderr.isatty() or "ipykernel" in sys.modules):
        return None
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ImportError:
        return None
    return Progress(console=Console(stderr=True))


class _Lines:
    """Lines of the log: what is done, how long it took, and how long the rest will take at this pace."""

    def __init__(self, total, description):
        self.total, self.description, self.done = total, description, 0
        self.started = self.said = time.monotonic()

    def __call__(self, k):
        self.done += k
        now = time.monotonic()
        if not self.done or (now - self.said < _PAUSE and self.done < self.total):
            return
        self.said, spent = now, now - self.started
        left = spent * (self.total - self.done) / self.done
        LOG.info("%s: %d of %d, %.0f s, %.0f s left", self.description, self.done, self.total, spent, left)

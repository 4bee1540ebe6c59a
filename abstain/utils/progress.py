"""Progress of long work: a bar where a person watches a terminal and rich is installed, silence elsewhere."""

import sys
from contextlib import contextmanager


@contextmanager
def progress(total: int, description: str):
    """Yield a function ``advance(k)`` that moves the bar by ``k`` units."""
    if not sys.stderr.isatty():
        yield lambda k: None
        return
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ImportError:
        yield lambda k: None
        return
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(description, total=total)
        yield lambda k: bar.advance(task, k)

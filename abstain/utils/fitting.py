"""What every fit does, whatever it learns."""

from contextlib import contextmanager


@contextmanager
def unchanged_on_failure(estimator):
    """Leave an estimator as it was if what is done to it fails, or is interrupted."""
    before = estimator.__dict__.copy()
    try:
        yield
    except BaseException:
        estimator.__dict__ = before
        raise

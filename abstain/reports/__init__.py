"""One page on a fitted selective classifier, for people who decide."""

from abstain.reports.page import report

__all__ = ["report"]

"""Files that hold fitted estimators, and are read without running anything that is in them."""

from abstain.persistence.files import load, save

__all__ = ["load", "save"]

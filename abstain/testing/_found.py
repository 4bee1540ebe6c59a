"""What there is to check, by existing."""

from typing import Any

import abstain
import abstain.calibration
from abstain.solvers.training import Training


def all_public(kind: Any) -> list:
    """Return the public classes of a kind: a selective classifier, a policy or an estimator, by existing.

    Parameters
    ----------
    kind : type
        Base class, for example ``BaseSelectiveClassifier``.

    Returns
    -------
    classes : list of type
        Concrete public subclasses that are written here; scikit-learn's, which are passed on, are not.
    """
    found = (getattr(abstain, name) for name in abstain.__all__ if name != "FrozenEstimator")
    classes = [c for c in found if isinstance(c, type) and issubclass(c, kind) and not c.__name__.startswith("Base")]
    return [c for c in classes if hasattr(c, "fit")]


def all_losses(protocol: Any = None) -> list:
    """Return the public losses that keep a protocol.

    Parameters
    ----------
    protocol : type, default=None
        ``ClassLoss`` or ``TrustLoss``; None is the latter.

    Returns
    -------
    losses : list of type
        Concrete losses.
    """
    wanted = [m for m in vars(protocol or abstain.losses.TrustLoss) if not m.startswith("_")]
    found = (getattr(abstain.losses, name) for name in abstain.losses.__all__)
    concrete = [c for c in found if isinstance(c, type) and not getattr(c, "_is_protocol", False)]
    return [c for c in concrete if all(hasattr(c, member) for member in wanted)]


def all_calibrators() -> list:
    """Return the public calibrators.

    Returns
    -------
    classes : list of type
        Concrete ones.
    """
    found = (getattr(abstain.calibration, name) for name in abstain.calibration.__all__)
    return [c for c in found if hasattr(c, "fit_outputs") and not c.__name__.startswith("Base")]


def small(estimator_class: Any) -> Any:
    """Build an estimator with settings that are quick on small data."""
    names = estimator_class._get_param_names()
    quick = {
        "cv": 2, "random_state": 0, "training": Training(epochs=10, lr=0.02, batch_size=32), "warm_up_epochs": 2
    }  # fmt: skip
    return estimator_class(**{k: v for k, v in quick.items() if k in names})

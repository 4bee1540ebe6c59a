"""Who is given what `fit` gets besides X and y: groups go to the splitter, all else to the estimator."""

from sklearn import get_config
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing


def router(owner, estimator, cv):
    """Return the metadata router of a classifier that fits an estimator on splits."""
    fits, splits = (MethodMapping().add(caller="fit", callee=method) for method in ("fit", "split"))
    # a number becomes a group splitter once there are groups, and a list of splits needs none
    splitter = cv if hasattr(cv, "get_metadata_routing") else StratifiedGroupKFold()
    return (
        MetadataRouter(owner=owner)
        .add(estimator=estimator, method_mapping=fits)
        .add(splitter=splitter, method_mapping=splits)
    )


def routed(owner, params):
    """Split up the parameters of `fit`: groups, and a dictionary for the estimator.

    Where scikit-learn's metadata routing is on, the requests of the estimator and of the splitter are followed.
    """
    given = {name: value for name, value in params.items() if value is not None}
    if not get_config()["enable_metadata_routing"]:
        return given.pop("groups", None), given
    parts = process_routing(owner, "fit", **given)
    return parts.splitter.split.get("groups"), dict(parts.estimator.fit)

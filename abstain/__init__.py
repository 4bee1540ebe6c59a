"""Trust scores, certified abstention and calibration for trained classifiers, in scikit-learn's style."""

_WHERE = {
    "BaseSelectiveClassifier": "selective.base",
    "Evidence": "selective.base",
    "SelectiveClassifier": "selective.posthoc",
    "decide": "selective.base",
    "fit_policy": "selective.base",
    "unwrap": "selective.base",
    "Certificate": "selective.certificate",
    "FixedThreshold": "selective.policies",
    "RejectCost": "selective.policies",
    "TargetCoverage": "selective.policies",
    "TargetRisk": "selective.policies",
    "CorrectnessTrust": "methods.correctness",
    "FocalTrust": "methods.correctness",
    "SteepSlopeTrust": "methods.trust",
    "TCPTrust": "methods.trust",
    "TrustHead": "methods.trust_head",
    "AutoTrust": "methods.auto",
    "GamblersClassifier": "methods.extra_class",
    "SYNCClassifier": "methods.joint",
    "SelectiveNetClassifier": "methods.joint",
    "SelfAdaptiveClassifier": "methods.extra_class",
    "DifficultyAwareClassifier": "methods.difficulty_aware",
    "LinearProbe": "probes",
    "Training": "solvers.training",
    "MaxLogitPNorm": "scores.fitted",
    "RelU": "scores.fitted",
    "SIRC": "scores.fitted",
    "Mahalanobis": "scores.mahalanobis",
    "RelativeMahalanobis": "scores.relative_mahalanobis",
    "NearestNeighbours": "scores.neighbours",
    "SecondOpinion": "scores.opinion",
    "ViM": "scores.vim",
    "TimmBackbone": "backbones.timm",
    "linear_head": "backbones.linear",
}
_MODULES = ("backbones", "datasets", "losses", "metrics", "policies", "scores", "testing", "warnings")

__all__ = sorted(_WHERE)
__version__ = "0.1.0.dev0"


def __getattr__(name):
    """Import a public name on first use, so that ``import abstain`` costs nothing."""
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"abstain.{name}")
    if name in _WHERE:
        value = getattr(import_module(f"abstain.{_WHERE[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'abstain' has no attribute {name!r}")


def __dir__():
    return sorted([*_WHERE, *_MODULES, "__version__"])

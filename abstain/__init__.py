"""Trust scores, certified abstention and calibration for trained classifiers, in scikit-learn's style."""

_WHERE = {
    "BaseSelectiveClassifier": "selective.base",
    "Evidence": "selective.base",
    "SelectiveClassifier": "selective.classifier",
    "decide": "selective.reach",
    "explain": "selective.reach",
    "fit_policy": "selective.reach",
    "FrozenEstimator": "asking.ask",
    "unwrap": "utils.unwrap",
    "evaluate": "selective.reach",
    "Certificate": "policies.certificate",
    "ConformalRisk": "policies.conformal",
    "FixedThreshold": "policies.fixed",
    "OnAverageRisk": "policies.on_average",
    "RejectCost": "policies.cost",
    "TargetCoverage": "policies.coverage",
    "TargetRisk": "policies.risk",
    "CorrectnessTrust": "methods.correctness",
    "FocalTrust": "methods.correctness",
    "SteepSlopeTrust": "methods.trust",
    "TCPTrust": "methods.trust",
    "TrustHead": "heads.trust_head",
    "AutoTrust": "methods.auto.auto_trust",
    "GamblersClassifier": "methods.selection.gamblers",
    "SYNCClassifier": "methods.selection.sync",
    "SelectiveNetClassifier": "methods.selection.selectivenet",
    "SelfAdaptiveClassifier": "methods.selection.self_adaptive",
    "DifficultyAwareClassifier": "methods.difficulty_aware",
    "CostSensitiveClassifier": "methods.costs",
    "FineTunedClassifier": "methods.fine_tuned",
    "HierarchicalClassifier": "methods.hierarchy",
    "ClassSemantics": "semantics.class_semantics",
    "LinearProbe": "classifiers.linear_probe",
    "WLFClassifier": "classifiers.wlf",
    "Training": "solvers.training",
    "FineTuning": "solvers.training",
    "MaxLogitPNorm": "scores.pnorm",
    "RelU": "scores.relu",
    "SIRC": "scores.sirc",
    "Mahalanobis": "scores.gaussian.mahalanobis",
    "RelativeMahalanobis": "scores.gaussian.relative_mahalanobis",
    "NearestNeighbours": "scores.neighbours.nearest",
    "SecondOpinion": "scores.second_opinion",
    "ViM": "scores.vim",
    "ASLPCalibrator": "calibration.aslp",
    "AutoCalibrator": "calibration.auto",
    "TimmBackbone": "backbones.timm",
    "linear_head": "classifiers.linear_head",
    "saved_outputs": "classifiers.outside",
    "torch_classifier": "classifiers.outside",
    "find_label_errors": "methods.label_errors",
    "RiskMonitor": "monitoring.risk_monitor",
    "RunningCertificate": "monitoring.running",
    "WarningLight": "monitoring.light",
    "load": "persistence.files",
    "report": "reports.page",
    "save": "persistence.files",
    "export_onnx": "export.files",
    "export_pt2": "export.files",
    "to_torch": "export.build",
}
_MODULES = (
    "backbones",
    "calibration",
    "classifiers",
    "datasets",
    "dense",
    "export",
    "language",
    "losses",
    "metrics",
    "monitoring",
    "persistence",
    "policies",
    "scores",
    "semantics",
    "testing",
    "warnings",
)

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

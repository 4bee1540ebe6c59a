"""What a file may hold, by name: classes of this package, and those of others that do nothing but hold state."""

from functools import cache

from sklearn.utils import all_estimators

_OWN = {
    "backbones.timm": "TimmBackbone",
    "calibration.aslp": "ASLPCalibrator",
    "calibration.auto": "AutoCalibrator AutoReport MemberLine Unchanged",
    "calibration.binary": "Affine Beta Quadratic",
    "calibration.bins": "Histogram ScalingBinning",
    "calibration.isotonic": "Isotonic",
    "calibration.scaling": "Dirichlet MatrixScaling VectorScaling",
    "calibration.spline": "Spline",
    "calibration.temperature": "EnsembleTemperature Temperature",
    "calibration.top_label": "TopLabel",
    "calibration.venn_abers": "VennAbers",
    "classifiers.linear_probe": "LinearProbe",
    "classifiers.outside": "SavedOutputs",
    "classifiers.wlf": "WLFClassifier WLFTransform",
    "decisions": "ClassifierAnswer LeastExpectedCost",
    "dense.calibrator": "DenseCalibrator",
    "dense.context": "ContextCalibrator",
    "dense.segmenter": "FineTunedSegmenter",
    "heads.confidence": "RecalibratedConfidence",
    "heads.faded": "FadedHead",
    "heads.ranking": "SelectionReport",
    "heads.selective_head": "SelectiveHead",
    "heads.trust_head": "TrustHead",
    "heads.tuned_head": "TunedTrustHead",
    "heads.tuned_selector": "TunedSelectiveHead",
    "losses.adaptive_perturbation": "AdaptivePerturbationLoss",
    "losses.cross_entropy": "CrossEntropyLoss",
    "losses.difficulty_entropy": "DifficultyEntropyLoss",
    "losses.entropy": "EntropyTerm",
    "losses.focal": "FocalLoss",
    "losses.gamblers": "GamblersLoss",
    "losses.hierarchical": "HXELoss",
    "losses.label_perturbation": "LabelPerturbationLoss",
    "losses.selectivenet": "SelectiveNetLoss",
    "losses.self_adaptive": "SelfAdaptiveLoss",
    "losses.softmax": "SoftmaxLoss",
    "losses.steep_slope": "SteepSlopeLoss",
    "losses.sync": "SYNCLoss",
    "losses.tcp": "TCPLoss",
    "losses.weighted": "WLFLoss",
    "methods.auto.auto_trust": "AutoTrust",
    "methods.auto.evidence": "Columns Reach",
    "methods.auto.explanation": "Explainer",
    "methods.auto.learner": "MonotoneLogistic",
    "methods.auto.nearness": "GaussianFit NearestOfClass",
    "methods.auto.opinions": "ForestOpinion KernelOpinion Landmarks",
    "methods.auto.report": "SecondOpinionReport StackReport",
    "methods.auto.similarity": "SimilarityVote Sphere",
    "methods.auto.sources": "ClassSource JoinedSource LogitNorm OpinionSource Source",
    "methods.auto.stack": "TrustStack",
    "methods.correctness": "CorrectnessTrust FocalTrust",
    "methods.costs": "CostSensitiveClassifier LessExpectedCost",
    "methods.difficulty_aware": "DifficultyAwareClassifier",
    "methods.fine_tuned": "FineTunedClassifier",
    "methods.hierarchy": "CoarsestAnswer HierarchicalClassifier HierarchyReport",
    "methods.selection.gamblers": "GamblersClassifier",
    "methods.selection.learnt": "JointSelection PostHocSelection TunedJointSelection",
    "methods.selection.selectivenet": "SelectiveNetClassifier",
    "methods.selection.self_adaptive": "SelfAdaptiveClassifier",
    "methods.selection.sync": "SYNCClassifier",
    "methods.trust": "SteepSlopeTrust TCPTrust",
    "metrics._compare": "Comparison",
    "monitoring.light": "WarningLight",
    "monitoring.risk_monitor": "RiskMonitor",
    "monitoring.running": "RunningCertificate",
    "policies.certificate": "Certificate GroupCount",
    "policies.conformal": "ConformalRisk",
    "policies.cost": "RejectCost",
    "policies.coverage": "TargetCoverage",
    "policies.fixed": "FixedThreshold",
    "policies.on_average": "OnAverageRisk",
    "policies.risk": "TargetRisk",
    "protocols": "FunctionScorer",
    "solvers.directions": "Directions",
    "solvers.forest": "Forest SmoothedTrees",
    "scores.gaussian.mahalanobis": "Mahalanobis",
    "scores.gaussian.relative_mahalanobis": "RelativeMahalanobis",
    "scores.gaussian.statistics": "ClassStatistics SharedGaussian",
    "scores.neighbours.nearest": "NearestNeighbours",
    "scores.neighbours.search": "RowIndex",
    "scores.pnorm": "MaxLogitPNorm",
    "scores.relu": "RelU",
    "scores.second_opinion": "SecondOpinion",
    "scores.sirc": "SIRC",
    "scores.vim": "ViM",
    "selective.guard": "Check",
    "selective.classifier": "SelectiveClassifier",
    "selective.features": "FeatureTable",
    "semantics.class_semantics": "ClassSemantics",
    "semantics.relations": "ClassRelations",
    "semantics.rules": "Climb DARTS LeafOrRoot LeastCost MaxCoverage NodeSets",
    "semantics.tree": "ClassTree",
    "solvers.perturbed_heads": "AffineHead LinearHead",
    "solvers.scaling": "Scaling",
    "solvers.temperature": "LossSums",
    "solvers.training": "FineTuning Training",
    "utils.fingerprints": "NoPrints RowPrints",
}
OWN = frozenset(f"abstain.{module}.{name}" for module, names in _OWN.items() for name in names.split())

# pure functions of numbers
_FUNCTIONS = """
    abstain.scores.probability.energy abstain.scores.probability.entropy abstain.scores.probability.gen
    abstain.scores.probability.gini abstain.scores.probability.margin abstain.scores.probability.max_logit
    abstain.scores.probability.max_probability abstain.scores.sirc.l1_norm
    sklearn.feature_selection._univariate_selection.chi2 sklearn.feature_selection._univariate_selection.f_classif
    sklearn.metrics._classification.accuracy_score sklearn.metrics._classification.balanced_accuracy_score
    sklearn.metrics._classification.brier_score_loss sklearn.metrics._classification.f1_score
    sklearn.metrics._classification.log_loss sklearn.metrics._ranking.average_precision_score
    sklearn.metrics._ranking.roc_auc_score sklearn.utils.validation.check_array
"""

# what scikit-learn's classifiers and transformers are made of
_PARTS = """
    sklearn._loss.link.Interval sklearn._loss.link.LogitLink sklearn._loss.link.MultinomialLogit
    sklearn._loss.loss.HalfBinomialLoss sklearn._loss.loss.HalfMultinomialLoss sklearn.calibration._CalibratedClassifier
    sklearn.calibration._SigmoidCalibration sklearn.calibration._TemperatureScaling
    sklearn.ensemble._hist_gradient_boosting.binning._BinMapper
    sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor
    sklearn.feature_extraction.text.CountVectorizer sklearn.feature_extraction.text.TfidfVectorizer
    sklearn.frozen._frozen.FrozenEstimator sklearn.isotonic.IsotonicRegression sklearn.metrics._scorer._CurveScorer
    sklearn.metrics._scorer._PassthroughScorer sklearn.metrics._scorer._Scorer
    sklearn.model_selection._classification_threshold.FixedThresholdClassifier
    sklearn.model_selection._classification_threshold.TunedThresholdClassifierCV
    sklearn.model_selection._search.GridSearchCV sklearn.model_selection._search.RandomizedSearchCV
    sklearn.model_selection._split.GroupKFold sklearn.model_selection._split.KFold
    sklearn.model_selection._split.ShuffleSplit sklearn.model_selection._split.StratifiedGroupKFold
    sklearn.model_selection._split.StratifiedKFold sklearn.model_selection._split.StratifiedShuffleSplit
    sklearn.neural_network._stochastic_optimizers.AdamOptimizer
    sklearn.neural_network._stochastic_optimizers.SGDOptimizer sklearn.pipeline.FeatureUnion sklearn.pipeline.Pipeline
    sklearn.tree._classes.DecisionTreeRegressor sklearn.utils._metadata_requests.MetadataRequest
    sklearn.utils._metadata_requests.MethodMetadataRequest
"""
_SCALARS = """
    numpy.bool numpy.float16 numpy.float32 numpy.float64 numpy.int8 numpy.int16 numpy.int32 numpy.int64 numpy.str_
    numpy.uint8 numpy.uint16 numpy.uint32 numpy.uint64
"""

# ways in which a file is read, and what may be made in each; all else is restored from its state, see `classes`
WAYS = {
    way: frozenset(names.split())
    for way, names in {
        "DTypeNode": "numpy.dtype",
        "DictNode": "builtins.dict collections.OrderedDict sklearn.utils._bunch.Bunch",
        "FunctionNode": _FUNCTIONS,
        "JsonNode": "builtins.str",
        "ListNode": "builtins.list",
        "LossNode": "sklearn._loss._loss.CyHalfBinomialLoss sklearn._loss._loss.CyHalfMultinomialLoss",
        "MaskedArrayNode": "numpy.ma.MaskedArray",
        "NdArrayNode": f"numpy.ndarray {_SCALARS}",
        "PartialNode": "functools.partial",
        "RandomGeneratorNode": "numpy.random._generator.Generator",
        "RandomStateNode": "numpy.random.mtrand.RandomState",
        "SetNode": "builtins.set",
        "SliceNode": "builtins.slice",
        "SparseMatrixNode": "scipy.sparse._csc.csc_array scipy.sparse._csc.csc_matrix scipy.sparse._csr.csr_array "
        "scipy.sparse._csr.csr_matrix",
        "TreeNode": "sklearn.tree._tree.Tree",
        "TupleNode": "builtins.tuple",
        "TypeNode": f"builtins.bool builtins.float builtins.int builtins.str {_SCALARS}",
    }.items()
}


@cache
def classes():
    """Names of the classes whose state may be restored: of this package, and classifiers and transformers of others."""
    found = {
        f"{kind.__module__}.{kind.__name__}"
        for _, kind in all_estimators(type_filter=["classifier", "transformer"])
        if kind.__module__.startswith("sklearn.")
    }
    return OWN | frozenset(_PARTS.split()) | frozenset(found)

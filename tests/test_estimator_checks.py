"""scikit-learn's checks on every public estimator, with no expected failure; and the library's own."""

import importlib.util
import warnings

import pytest
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.utils import estimator_checks as checks
from sklearn.utils.estimator_checks import parametrize_with_checks

import abstain
from abstain import testing
from abstain.calibration import Temperature
from abstain.methods.selection.base import BaseLearnedSelection
from abstain.policies import Policy
from abstain.selective.base import BaseSelectiveClassifier
from abstain.warnings import AbstainWarning

# calibrators without an estimator take saved outputs: see tests/recalibration
ESTIMATORS = [c for c in testing.all_public(BaseEstimator) if not hasattr(c, "fit_outputs")]
CLASSIFIERS = testing.all_public(BaseSelectiveClassifier)
QUICK = abstain.Training(epochs=10, lr=0.02, batch_size=32)
VARIANTS = [
    abstain.SelectiveClassifier(LogisticRegression(), cv=2),
    abstain.SelectiveClassifier(LogisticRegression(), abstain.RelU(), cv=2),
    abstain.SelectiveClassifier(scorer=abstain.SIRC(), cv=2),
    abstain.SteepSlopeTrust(unit_norm=True, head_inputs="features", outcomes="training", cv=2, random_state=0),
    abstain.SelectiveClassifier(scorer=abstain.NearestNeighbours(measure="ratio"), cv=2),
    abstain.SelectiveClassifier(scorer=abstain.RelativeMahalanobis(at="predicted"), cv=2),
    abstain.AutoTrust(head_inputs="confidence", cv=2, random_state=0),
    abstain.TCPTrust(ratio=True, calibrate=True, head_inputs="confidence", cv=2, random_state=0),
    abstain.CostSensitiveClassifier(LogisticRegression(), calibrator=Temperature(), cv=2, random_state=0),
    abstain.HierarchicalClassifier(rule="climb", calibrator=Temperature(), cv=2, random_state=0),
    abstain.SYNCClassifier(LogisticRegression(), coverages=[0.6], training=QUICK, cv=2, random_state=0),
    abstain.SelectiveNetClassifier(
        coverages=[0.6], rank_by="selector", hidden=(), warm_up_epochs=0, training=QUICK, random_state=0
    ),
]


@pytest.fixture(autouse=True)
def _torch_where_needed(request):
    estimator = getattr(request.node, "callspec", None) and request.node.callspec.params.get("estimator")
    if isinstance(estimator, BaseLearnedSelection) and importlib.util.find_spec("torch") is None:
        pytest.skip("needs torch: pip install '.[torch]'")


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AbstainWarning)
        yield


@parametrize_with_checks([*(testing.small(c) for c in ESTIMATORS), *VARIANTS])
def test_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize("kind", [c for c in ESTIMATORS if not c().__sklearn_tags__().input_tags.two_d_array])
@pytest.mark.parametrize(
    "check",
    [
        checks.check_no_attributes_set_in_init,
        checks.check_parameters_default_constructible,
        checks.check_get_params_invariance,
        checks.check_set_params,
        checks.check_estimator_cloneable,
        checks.check_estimator_repr,
        checks.check_estimator_tags_renamed,
        checks.check_mixin_order,
    ],
    ids=lambda c: c.__name__,
)
def test_conventions_of_estimators_whose_input_is_not_a_matrix(kind, check):
    """scikit-learn skips policies (scores in) and backbones (images in) as a whole; their conventions are held here."""
    check(kind.__name__, kind())


def test_scikit_learn_with_declared_logits():
    estimator = abstain.SelectiveClassifier(
        LogisticRegression(), abstain.scores.energy, cv=2, response_method="decision_function"
    )
    results = checks.check_estimator(estimator, on_skip=None, on_fail=None)
    assert not [r["check_name"] for r in results if r["status"] not in ("passed", "skipped")]


@pytest.mark.parametrize("check", testing.selective_classifier_checks(), ids=lambda c: c.__name__)
@pytest.mark.parametrize("estimator", [*(testing.small(c) for c in CLASSIFIERS), *VARIANTS[2:]], ids=repr)
def test_selective_classifier(estimator, check):
    check(estimator)


@pytest.mark.parametrize("check", testing.policy_checks(), ids=lambda c: c.__name__)
@pytest.mark.parametrize(
    "policy",
    [
        *(c() for c in testing.all_public(Policy)),
        abstain.TargetCoverage(0.8, delta=0.1),
        abstain.TargetRisk(0.2, method="sgr"),
        abstain.TargetRisk(0.2, method="bonferroni"),
    ],
    ids=repr,
)
def test_policy(policy, check):
    check(policy)


@pytest.mark.parametrize("check", testing.loss_checks(), ids=lambda c: c.__name__)
@pytest.mark.parametrize(
    "loss",
    [
        *(c() for c in testing.all_losses()),
        abstain.losses.SteepSlopeLoss(alpha_pos=2.0, alpha_neg=5.0),
        abstain.losses.CrossEntropyLoss(error_weight=3.0),
        abstain.losses.FocalLoss(gamma=5.0, error_weight=2.0),
    ],
    ids=repr,
)
def test_loss(loss, check):
    check(loss)


@pytest.mark.parametrize("check", testing.class_loss_checks(), ids=lambda c: c.__name__)
@pytest.mark.parametrize("loss", [c() for c in testing.all_losses(abstain.losses.ClassLoss)], ids=repr)
def test_class_loss(loss, check):
    check(loss)


@pytest.mark.parametrize("check", testing.selective_loss_checks(), ids=lambda c: c.__name__)
@pytest.mark.parametrize("loss", [c() for c in testing.all_losses(abstain.losses.SelectiveLoss)], ids=repr)
def test_selective_loss(loss, check):
    check(loss)


def test_everything_public_is_found():
    assert {c.__name__ for c in CLASSIFIERS} == {
        "SelectiveClassifier", "SteepSlopeTrust", "TCPTrust", "CorrectnessTrust", "FocalTrust", "AutoTrust",
        "DifficultyAwareClassifier", "SelectiveNetClassifier", "SYNCClassifier", "GamblersClassifier",
        "SelfAdaptiveClassifier", "CostSensitiveClassifier", "HierarchicalClassifier",
    }  # fmt: skip
    assert len(testing.all_public(Policy)) == 6
    assert len(testing.all_losses()) == 4
    assert len(testing.selective_classifier_checks()) == 9
    assert len(testing.policy_checks()) == 4
    assert len(testing.loss_checks()) == 4
    assert {c.__name__ for c in testing.all_losses(abstain.losses.ClassLoss)} == {
        "SoftmaxLoss",
        "AdaptivePerturbationLoss",
        "DifficultyEntropyLoss",
        "LabelPerturbationLoss",
        "WLFLoss",
        "HXELoss",
    }
    assert len(testing.class_loss_checks()) == 4
    assert {c.__name__ for c in testing.all_losses(abstain.losses.SelectiveLoss)} == {
        "SelectiveNetLoss", "SYNCLoss", "GamblersLoss", "SelfAdaptiveLoss",
    }  # fmt: skip
    assert len(testing.selective_loss_checks()) == 4


def test_frozen_estimator_survives_search_clones():
    X, y = testing.overlapping_classes(testing.LABELS["int"])
    frozen = FrozenEstimator(LogisticRegression().fit(X, y))
    estimator = abstain.SelectiveClassifier(frozen, cv=2).fit(X, y)
    assert estimator.estimator_ is frozen

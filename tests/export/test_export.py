"""Decisions as modules of torch and as ONNX: the same answers, the same verdicts, and refusals that name the part."""

import numpy as np
import pytest
from bars import backbone, bars, hidden_bars
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from abstain import (
    AutoTrust,
    CorrectnessTrust,
    CostSensitiveClassifier,
    FineTunedClassifier,
    FineTuning,
    FocalTrust,
    LinearProbe,
    SelectiveClassifier,
    SteepSlopeTrust,
    TargetCoverage,
    TargetRisk,
    TCPTrust,
    TimmBackbone,
    Training,
    export_onnx,
    export_pt2,
    to_torch,
)
from abstain.calibration import Temperature
from abstain.heads.faded import FadedHead
from abstain.outputs import ClassOutputs
from abstain.scores import energy, entropy, margin, max_logit

torch = pytest.importorskip("torch", reason="needs torch: pip install '.[torch]'")

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore::abstain.warnings.AbstainWarning")]
POLICY = TargetCoverage(0.7)
# float32 sums of a few dozen terms
MARGIN = 1e-4

HEAD = {"guard": None, "random_state": 0}  # a head, whatever it is worth
CASES = {
    "linear probe": lambda: SelectiveClassifier(cv=2),
    "logistic, margin": lambda: SelectiveClassifier(LogisticRegression(max_iter=500), margin, cv=2),
    "scaler, components, network": lambda: SelectiveClassifier(
        make_pipeline(
            StandardScaler(),
            PCA(8, whiten=True),
            MLPClassifier((16,), alpha=1.0, solver="lbfgs", max_iter=2000, random_state=0),
        ),
        cv=2,
    ),
    "energy": lambda: SelectiveClassifier(scorer=energy, cv=2, response_method="decision_function"),
    "largest logit": lambda: SelectiveClassifier(scorer=max_logit, cv=2, response_method="decision_function"),
    "temperature": lambda: SelectiveClassifier(Temperature(LogisticRegression(max_iter=500)), cv=2),
    "steep slope": lambda: SteepSlopeTrust(cv=2, **HEAD),
    "steep slope behind a pipeline": lambda: SteepSlopeTrust(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)), cv=2, **HEAD
    ),
    "distance to a hyperplane": lambda: SteepSlopeTrust(cv=2, unit_norm=True, head_inputs="features", **HEAD),
    "true class probability": lambda: TCPTrust(cv=2, **HEAD),
    "deep head": lambda: CorrectnessTrust(
        cv=2, hidden=(16, 8), training=Training(epochs=20, lr=0.01, batch_size=64), **HEAD
    ),
    "focal, confidence alone": lambda: FocalTrust(cv=2, head_inputs="confidence", **HEAD),
}


def blobs(n, seed=0, n_classes=4):
    rng = np.random.default_rng(seed)
    y = rng.integers(n_classes, size=n)
    return (np.eye(n_classes, 12)[y] * 2 + rng.normal(size=(n, 12))).astype(np.float32), y


def decided(module, X):
    with torch.no_grad():
        return [part.numpy() for part in module(torch.from_numpy(X))]


def assert_parity(est, X, outputs, margin=MARGIN):
    label, proba, score, accept = outputs
    said = est.evaluate(X)
    threshold = est.policy_.threshold_
    far = np.abs(said.score - threshold) > margin * max(1.0, abs(threshold))
    np.testing.assert_allclose(proba, said.proba, atol=1e-5)
    told = said.proba.min(axis=1) > 1e-12  # below, an estimator rounds what it says, and logits are not rounded
    np.testing.assert_allclose(score[told], said.score[told], rtol=1e-4, atol=1e-4)
    assert far.mean() > 0.9
    np.testing.assert_array_equal(accept[far & told], est.accept(X)[far & told])
    clear = np.sort(said.proba, axis=1)[:, -1] - np.sort(said.proba, axis=1)[:, -2] > 1e-5
    np.testing.assert_array_equal(label[clear], said.answer[clear])


def test_a_faded_head_decides_as_the_estimator():
    X, y = blobs(600)
    est = SteepSlopeTrust(cv=2, policy=POLICY, **HEAD).fit(X, y)
    proba, score = est.predict_proba(X), est.score_samples(X)
    outputs = ClassOutputs(proba, "proba", est.classes_)
    est.scorer_ = FadedHead(est.scorer_, 0.5).fit_scores(score, outputs, est.predict(X) == y)
    est.fit_policy(*blobs(400, 3))
    fresh, _ = blobs(500, 1)
    assert_parity(est, fresh, decided(to_torch(est), fresh))


@pytest.mark.parametrize("name", CASES)
def test_the_module_decides_as_the_estimator(name):
    X, y = blobs(600)
    est = CASES[name]().set_params(policy=POLICY).fit(X, y)
    fresh = np.concatenate([blobs(500, 1)[0], 30 * blobs(100, 2)[0]])  # and some of which all are sure
    module = to_torch(est)
    assert not module.training
    assert module.classes == [0, 1, 2, 3]
    assert_parity(est, fresh, decided(module, fresh))


@pytest.mark.parametrize("name", ["linear probe", "steep slope", "focal, confidence alone"])
def test_two_classes(name):
    X, y = blobs(600, n_classes=2)
    labels = np.array(["no", "yes"])[y]
    est = CASES[name]().set_params(policy=POLICY).fit(X, labels)
    module = to_torch(est)
    assert module.classes == ["no", "yes"]
    assert_parity(est, X, decided(module, X))


def test_the_threshold_is_rounded_towards_abstention():
    X, y = blobs(600)
    est = SelectiveClassifier(cv=2, policy=POLICY).fit(X, y)
    for value in (0.1, -0.1, 1.0, 1 + 1e-12, 123456.789):
        est.policy_.threshold_ = value
        assert float(to_torch(est).threshold) >= value
    est.policy_.threshold_ = np.inf
    assert not decided(to_torch(est), X)[3].any()
    head = SteepSlopeTrust(cv=2, policy=POLICY, **HEAD).fit(X, y)
    head.policy_.threshold_ = 1.0
    assert not decided(to_torch(head), X)[3].any()


def test_missing_values_are_not_answered():
    X, y = blobs(600)
    est = SelectiveClassifier(cv=2, policy=POLICY).fit(X, y)
    X[0, 3] = np.nan
    assert not decided(to_torch(est), X)[3][0]


def test_infinite_features_are_not_answered_though_a_bounded_unit_hides_them():
    X, y = blobs(600)
    network = MLPClassifier((16,), activation="tanh", alpha=1.0, solver="lbfgs", max_iter=500, random_state=0)
    est = SelectiveClassifier(FrozenEstimator(network.fit(X, y)), policy=TargetCoverage(0.9)).fit(X, y)
    module = to_torch(est)
    for sign in (1, -1):
        spoilt = np.repeat(X[:10], 12, axis=0)
        spoilt[np.arange(120), np.arange(120) % 12] = sign * np.inf
        assert not decided(module, spoilt)[3].any()
    assert decided(module, X[:10])[3].any()


@pytest.mark.parametrize(("times", "coverage"), [(30, 0.3), (120, 0.2)])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_saturated_probabilities_decide_as_the_estimator(n_classes, times, coverage):
    """What rounds a probability to zero does not decide: a module has the logits."""
    X, y = blobs(600, n_classes=n_classes)
    clf = LogisticRegression(max_iter=500).fit(X, y)
    clf.coef_, clf.intercept_ = clf.coef_ * times, clf.intercept_ * times
    est = SelectiveClassifier(FrozenEstimator(clf), policy=TargetCoverage(coverage)).fit(X, y)
    fresh = blobs(2000, 1, n_classes)[0]
    accept = est.accept(fresh)
    assert accept.any()
    assert (decided(to_torch(est), fresh)[3] != accept).mean() <= 0.005


@pytest.mark.parametrize("name", ["linear probe", "scaler, components, network", "steep slope", "deep head"])
def test_onnx_decides_as_the_estimator(name, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    X, y = blobs(600)
    est = CASES[name]().set_params(policy=POLICY).fit(X, y)
    export_onnx(est, tmp_path / "decision.onnx", example=X[:2])
    session = onnxruntime.InferenceSession(str(tmp_path / "decision.onnx"))
    assert [part.name for part in session.get_outputs()] == ["label", "proba", "score", "accept"]
    for n in (1, 2, 500):
        fresh = blobs(n, 1)[0] if n > 2 else blobs(500, 1)[0][:n]
        label, proba, score, accept = session.run(None, {"x": fresh})
        assert label.shape == score.shape == accept.shape == (n,)
    assert_parity(est, fresh, (label, proba, score, accept))
    assert [path.name for path in tmp_path.iterdir()] == ["decision.onnx"]


@pytest.mark.slow
def test_onnx_decides_a_million_rows_as_the_estimator(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    X, y = blobs(2000)
    fresh = blobs(1_000_000, 1)[0]
    for est in (SelectiveClassifier(cv=2, policy=POLICY), SteepSlopeTrust(cv=2, policy=POLICY, **HEAD)):
        est.fit(X, y)
        export_onnx(est, tmp_path / "decision.onnx", example=X[:2])
        label, _, _, accept = onnxruntime.InferenceSession(str(tmp_path / "decision.onnx")).run(None, {"x": fresh})
        said, threshold = est.evaluate(fresh), est.policy_.threshold_
        far = np.abs(said.score - threshold) > 1e-5 * max(1.0, abs(threshold))
        assert far.mean() > 0.999
        np.testing.assert_array_equal(accept[far], est.accept(fresh)[far])
        assert (label != said.answer).mean() < 1e-5  # ties to float32


def test_a_program_of_torch(tmp_path):
    X, y = blobs(600)
    est = SteepSlopeTrust(cv=2, policy=POLICY, **HEAD).fit(X, y)
    export_pt2(est, tmp_path / "decision.pt2", example=X[:2])
    module = torch.export.load(tmp_path / "decision.pt2").module()
    assert_parity(est, X, [part.detach().numpy() for part in module(torch.from_numpy(X))])


def pixels(transformer, images):
    """Images as the network takes them, in bytes."""
    from abstain.backbones import networks
    from abstain.backbones.images import Images

    preprocess = networks.pixels(networks.preprocessing(transformer.module(), None, None, transformer.input_size))
    return torch.stack([preprocess(Images(images).load(i)) for i in range(len(images))]).numpy()


@pytest.mark.vision
@pytest.mark.parametrize("way", ["frozen", "fine-tuned", "head", "tuned head"])
def test_images_go_in_as_bytes(way):
    pytest.importorskip("timm", reason="needs timm: pip install '.[vision]'")
    X, y = hidden_bars(160)
    start, knobs = backbone(), FineTuning(epochs=1, batch_size=16, device="cpu")
    clf = FrozenEstimator(make_pipeline(FrozenEstimator(start), LinearProbe()).fit(*bars(60, seed=3)))
    if way == "frozen":
        est = SelectiveClassifier(backbone=start, policy=POLICY, cv=2)
    elif way == "fine-tuned":
        tuned = FineTunedClassifier(start, training=knobs, random_state=0).fit(*bars(60, seed=3))
        est = SelectiveClassifier(FrozenEstimator(tuned), policy=POLICY, cv=2)
    elif way == "head":
        est = SteepSlopeTrust(clf, backbone=start, policy=POLICY, cv=2, **HEAD)
    else:
        est = SteepSlopeTrust(clf, backbone=start, fit_backbone=True, training=knobs, policy=POLICY, **HEAD)
    est.fit(X, y)
    assert_parity(est, X, decided(to_torch(est), pixels(start, X)))


@pytest.mark.parametrize(
    ("est", "message"),
    [
        (SelectiveClassifier(RandomForestClassifier(5), cv=2), "RandomForestClassifier has no form in torch"),
        (SelectiveClassifier(scorer=entropy, cv=2), "entropy has no form in torch"),
        (AutoTrust(cv=2, budget="fast"), "TrustStack has no form in torch"),
        (CostSensitiveClassifier(cv=2, cost=np.ones((4, 4)) - np.eye(4)), "of CostSensitiveClassifier, whose answers"),
    ],
    ids=lambda part: type(part).__name__,
)
def test_what_has_no_form_is_named(est, message):
    with pytest.raises(TypeError, match=f"{message}.*abstain.save"):
        to_torch(est.fit(*blobs(600)))


def test_groups_missing_values_and_other_objects_are_refused():
    X, y = blobs(900)
    groups = np.repeat([0, 1], 450)
    est = SelectiveClassifier(cv=2).fit(X, y)
    est.fit_policy(X, y, TargetRisk(0.4), groups=groups)
    if isinstance(est.policy_.threshold_, dict):
        with pytest.raises(TypeError, match="threshold for each group"):
            to_torch(est)
    with pytest.raises(TypeError, match="must be a selective classifier"):
        to_torch(LogisticRegression().fit(X, y))
    with pytest.raises(ValueError, match="example must be two samples or more"):
        export_pt2(SelectiveClassifier(cv=2).fit(X, y), "never.pt2", example=X[:1])


@pytest.mark.vision
def test_what_is_traced_for_export_is_not_kept_for_use():
    """A tensor of the tracer in a cache would be met by the next extraction; the mean makes a cache begin anew."""
    from abstain.backbones import networks

    network = TimmBackbone("test_resnet", weights="random", input_size=32, device="cpu", mean=(0.1, 0.2, 0.3))
    config = networks.preprocessing(network.module(), network.mean, None, network.input_size)
    images = torch.zeros((2, 3, 32, 32), dtype=torch.uint8)

    class Normalised(torch.nn.Module):
        def forward(self, x):
            return networks.normalised(x, config)

    with torch.inference_mode():
        program = torch.export.export(Normalised(), (images,))
    expected = networks.normalised(images, config)
    torch.testing.assert_close(program.module()(images), expected)
    assert type(expected) is torch.Tensor
    assert not expected.is_inference()
    assert network.transform(np.zeros((2, 32, 32, 3), dtype=np.uint8)).shape == (2, 96)

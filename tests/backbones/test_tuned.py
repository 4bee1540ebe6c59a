"""Backbones that are trained: from the frozen start, resumed bit for bit, and never worse in silence."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline

import abstain
from abstain import (
    CorrectnessTrust,
    FineTunedClassifier,
    FineTuning,
    FocalTrust,
    LinearProbe,
    SteepSlopeTrust,
    TCPTrust,
    TimmBackbone,
    Training,
)
from abstain.losses import AdaptivePerturbationLoss, DifficultyEntropyLoss, HXELoss, LabelPerturbationLoss, WLFLoss
from abstain.warnings import AbstainWarning, FrozenStartWarning

pytest.importorskip("timm", reason="needs timm: pip install '.[vision]'")

import timm
import torch
from bars import backbone, bars, hidden_bars
from kills import killed

from abstain.backbones import networks, tuned
from abstain.backbones.image_source import ImageSource
from abstain.backbones.images import Images
from abstain.solvers import draws

pytestmark = pytest.mark.vision
FAST = {"epochs": 2, "batch_size": 16, "lr": 3e-3, "device": "cpu"}


@pytest.fixture(scope="module")
def images():
    return bars()


def weights(model):
    return {**model.backbone_.state_, "coef": model.classifier_.estimator.coef_}


def assert_same(one, other):
    for name, value in weights(one).items():
        np.testing.assert_array_equal(value, weights(other)[name], err_msg=name)
    assert one.history_ == other.history_


def test_it_learns_what_frozen_features_do_not_say_and_leaves_the_backbone_alone():
    start, hard = backbone(), {"noise": 180, "bright": 45}
    before = networks.arrays(start.module())
    (X_fit, y_fit), (X, y) = bars(160, 2, **hard), bars(200, 99, **hard)
    training = FineTuning(epochs=8, batch_size=16, lr=1e-3, validation_fraction=0.25, device="cpu")
    model = FineTunedClassifier(start, training=training, random_state=2).fit(X_fit, y_fit)
    frozen = LinearProbe("auto", random_state=0).fit(start.transform(X_fit), y_fit).score(start.transform(X), y)
    assert frozen < 0.75
    assert model.score(X, y) > frozen + 0.1
    assert model.history_[-1]["validation_loss"] < model.history_[0]["validation_loss"]
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1.0)
    for name, value in networks.arrays(start.module()).items():
        np.testing.assert_array_equal(value, before[name])
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(X[:5]), model.predict_proba(X[:5]))
    probe = make_pipeline(FrozenEstimator(model.backbone_), LinearProbe()).fit(X[:40], y[:40])
    assert probe.score(X[40:], y[40:]) > frozen


def test_the_start_is_the_probe_on_frozen_features(images):
    X, y = images
    with pytest.warns(FrozenStartWarning, match="frozen start is kept"):
        model = FineTunedClassifier(
            backbone(), training=FineTuning(**FAST | {"lr": 0.1, "epochs": 1}), random_state=0
        ).fit(X, y)
    features = backbone().transform(X)
    seed = np.random.RandomState(0).randint(2**31)
    learnt, _ = draws.split(np.arange(len(y)), 0.1, seed)
    probe = LinearProbe("auto", random_state=seed).fit(features[learnt], y[learnt])
    np.testing.assert_allclose(model.predict_proba(X), probe.predict_proba(features), atol=2e-4)
    np.testing.assert_allclose(model.backbone_.transform(X), features, atol=1e-5)


@pytest.mark.filterwarnings("ignore::abstain.warnings.FrozenStartWarning")
def test_the_start_has_not_seen_the_images_that_judge_it():
    """Labels by chance: a start that was fitted on them all would know those that are held back."""
    X, y = bars(64)
    y = np.random.default_rng(1).permutation(y)
    model = FineTunedClassifier(
        backbone(), training=FineTuning(**FAST | {"epochs": 1, "validation_fraction": 0.4}), random_state=0
    ).fit(X, y)
    assert model.history_[0]["validation_loss"] > 0.6
    clf = FrozenEstimator(make_pipeline(FrozenEstimator(backbone()), LinearProbe()).fit(*bars(60, seed=3)))
    est = CorrectnessTrust(
        clf, backbone=backbone(), fit_backbone=True, guard=None, random_state=0,
        training=FineTuning(**FAST | {"epochs": 1, "validation_fraction": 0.5}),
    ).fit(*(part[np.arange(64) % 64] for part in (X, y)))  # fmt: skip
    assert est.scorer_.history_[0]["validation_loss"] > 0.05  # of an AUGRC that is .125 by chance


@pytest.mark.parametrize("preset", [FineTunedClassifier, abstain.SelectiveNetClassifier])
@pytest.mark.filterwarnings("ignore::abstain.warnings.AbstainWarning")
def test_training_from_random_weights_begins_where_the_head_was_solved_for(images, preset):
    """Moments that are learnt are those of the images from the first step on; the stored ones are those of nothing."""
    X, y = images
    training = FineTuning(**FAST | {"lr": 1e-12, "epochs": 1}, freeze_norm=False)
    start, options = backbone(), {} if preset is FineTunedClassifier else {"fit_backbone": True}
    before = networks.arrays(start.module())
    model = preset(backbone=start, training=training, random_state=0, **options).fit(X, y)
    assert model.history_[1]["train_loss"] < 2
    for name, value in networks.arrays(start.module()).items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.filterwarnings("ignore::abstain.warnings.AbstainWarning")
def test_a_trained_backbone_may_be_trained_on_and_cloned(images):
    """Weights that are kept are what the object was made with: clones, as heads and searches make, keep them."""
    X, y = images
    training = FineTuning(**FAST | {"epochs": 1})
    clf = FineTunedClassifier(backbone(), training=training, random_state=0).fit(X, y)
    trained = clf.backbone_
    np.testing.assert_array_equal(clone(trained).transform(X[:4]), trained.transform(X[:4]))
    est = CorrectnessTrust(
        FrozenEstimator(clf), backbone=trained, fit_backbone=True, guard=None, training=training, random_state=0
    ).fit(X, y)
    assert est.score_samples(X).shape == (len(X),)
    elsewhere = clone(trained).set_params(weights="random")
    np.testing.assert_array_equal(elsewhere.transform(X[:4]), backbone().transform(X[:4]))


@pytest.mark.parametrize(
    "loss",
    [
        WLFLoss([[0.8, 0.2], [0.3, 0.7]]), HXELoss([2, 2, -1], 0.5), DifficultyEntropyLoss(alpha=0.2),
        LabelPerturbationLoss(level=0.1),
    ],
    ids=lambda loss: type(loss).__name__,
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::abstain.warnings.FrozenStartWarning")
def test_every_loss_of_logits_can_be_trained_on(images, loss):
    model = FineTunedClassifier(backbone(), loss=loss, training=FineTuning(**FAST), random_state=0).fit(*images)
    assert model.score(*images) > 0.6
    assert all(np.isfinite(epoch["validation_loss"]) for epoch in model.history_)


@pytest.mark.parametrize("mode", ["mc", "mei"])
@pytest.mark.filterwarnings("ignore::abstain.warnings.FrozenStartWarning")
def test_levels_follow_margins_and_held_out_accuracy(mode, tmp_path, monkeypatch):
    X, y = hidden_bars(120)
    loss = AdaptivePerturbationLoss(mode=mode, eta=0.02)
    knobs = FineTuning(**FAST | {"epochs": 4, "lr": 1e-3}, validation_fraction=0.3, checkpoint_every=0.0)
    arguments = {"loss": loss, "training": knobs, "random_state": 0}
    model = FineTunedClassifier(backbone(), **arguments).fit(X, y)
    seed = np.random.RandomState(0).randint(2**31)
    learnt, held = draws.split(np.arange(120), 0.3, seed)
    assert (model.levels_[held] == 0).all()
    assert (model.levels_[learnt] > 0).mean() > (0.3 if mode == "mc" else 0.0)
    assert model.levels_.max() <= 0.48
    if mode == "mc":  # what holds the levels is nearly hard
        assert model.levels_.max() < 1 - min(epoch["accuracy"] for epoch in model.history_[1:]) + 0.05
    with monkeypatch.context() as patch:
        killed(patch, 15)  # in the third epoch
        with pytest.raises(KeyboardInterrupt):
            FineTunedClassifier(backbone(), checkpoint=tmp_path / "state.pt", **arguments).fit(X, y)
    again = FineTunedClassifier(backbone(), checkpoint=tmp_path / "state.pt", **arguments).fit(X, y)
    np.testing.assert_array_equal(again.levels_, model.levels_)
    assert_same(again, model)
    with pytest.raises(ValueError, match="strength is for losses with a term of their own"):
        FineTunedClassifier(backbone(), loss=loss, training=knobs).fit(X, y, strength=np.ones(120))
    with pytest.raises(ValueError, match="validation_fraction must be above 0"):
        FineTunedClassifier(backbone(), loss=loss, training=FineTuning(**FAST, validation_fraction=0)).fit(X, y)


def test_a_batch_that_is_computed_again_moves_its_levels_once():
    from abstain.solvers.objectives import AdaptiveObjective
    from abstain.solvers.sources import Batch

    objective = AdaptiveObjective(AdaptivePerturbationLoss(warm_up=0), 4)
    objective.see({"validation_loss": 0.0, "accuracy": 0.9})
    logits = torch.tensor([[0.0, 3.0], [2.0, 0.0]], requires_grad=True)
    batch = Batch(np.array([2, 0]), (), (torch.tensor([1, 0]),))
    objective((logits,), batch, 0)
    first = objective.levels.copy()
    assert (first[[0, 2]] > 0).all()
    objective.forget()
    assert not objective.levels.any()
    objective((logits,), batch, 0)
    np.testing.assert_array_equal(objective.levels, first)


@pytest.mark.filterwarnings("ignore::abstain.warnings.FrozenStartWarning")
def test_strength_reaches_the_loss(images):
    X, y = images
    loss = DifficultyEntropyLoss(alpha=0.5)
    found = [
        FineTunedClassifier(backbone(), loss=loss, training=FineTuning(**FAST | {"epochs": 1}), random_state=0).fit(
            X, y, strength=strength
        )
        for strength in (np.zeros(len(y)), np.ones(len(y)))
    ]
    assert found[0].history_[0]["validation_loss"] != found[1].history_[0]["validation_loss"]


@pytest.mark.parametrize(
    ("before", "after", "writes"),  # three steps, and the end of the epoch, twice
    [
        (0, 0, range(8)),
        (0, 2, [1]),
        (2, 0, [5]),
        *(pytest.param(before, after, range(8), marks=pytest.mark.slow) for before, after in ((0, 2), (2, 0), (2, 2))),
    ],
)
@pytest.mark.filterwarnings("ignore::abstain.warnings.FrozenStartWarning")
def test_a_run_that_is_killed_goes_on_bit_for_bit_with_any_number_of_workers(
    images, tmp_path, monkeypatch, before, after, writes
):
    knobs = FineTuning(**FAST, ema=0.5, augment={"hflip": 0.5, "color_jitter": 0.3}, checkpoint_every=0.0)
    arguments = {"training": knobs, "random_state": 0}
    whole = FineTunedClassifier(backbone(), **arguments).fit(*images)
    for count in writes:
        path = tmp_path / f"{count}.pt"
        with monkeypatch.context() as patch:
            killed(patch, count)
            with pytest.raises(KeyboardInterrupt):
                FineTunedClassifier(backbone(num_workers=before), checkpoint=path, **arguments).fit(*images)
        assert_same(FineTunedClassifier(backbone(num_workers=after), checkpoint=path, **arguments).fit(*images), whole)


@pytest.mark.filterwarnings("ignore::abstain.warnings.FrozenStartWarning")
def test_at_a_rate_of_zero_the_backbone_stays_and_the_head_learns(images):
    start = backbone()
    knobs = FineTuning(**FAST | {"backbone_rate": 0.0})
    found = FineTunedClassifier(start, training=knobs, random_state=0).fit(*images)
    before, after = networks.arrays(start.module()), networks.arrays(found.backbone_.module())
    learnt = [name for name in before if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))]
    for name in learnt:
        np.testing.assert_array_equal(after[name], before[name], err_msg=name)
    first, last = found.history_[1]["train_loss"], found.history_[-1]["train_loss"]
    assert last != first  # the head moves


@pytest.mark.parametrize("other", ["data", "network", "settings", "version"])
@pytest.mark.filterwarnings("ignore::abstain.warnings.FrozenStartWarning")
def test_a_checkpoint_of_another_training_is_refused_by_name(images, tmp_path, monkeypatch, other):
    X, y = images
    path = tmp_path / "state.pt"
    FineTunedClassifier(backbone(), training=FineTuning(**FAST), checkpoint=path, random_state=0).fit(X, y)
    other_network = TimmBackbone("test_efficientnet", weights="random", input_size=32, device="cpu")
    changed = {
        "data": (backbone(), FineTuning(**FAST), X[::-1].copy()),
        "network": (other_network, FineTuning(**FAST), X),
        "settings": (backbone(), FineTuning(**FAST | {"lr": 1e-2}), X),
    }  # fmt: skip
    monkeypatch.setattr("abstain.__version__", "0.0" if other == "version" else abstain.__version__)
    start, knobs, pixels = changed.get(other, (backbone(), FineTuning(**FAST), X))
    with pytest.raises(ValueError, match=f"belongs to another training: .*{other}"):
        FineTunedClassifier(start, training=knobs, checkpoint=path, random_state=0).fit(pixels, y)


def test_batches_of_images_follow_from_the_seed_alone(images):
    X, _ = images
    config = networks.preprocessing(backbone().module(), None, None, 32)
    preprocess = networks.pixels(config)
    augment = tuned.augmentation({"hflip": 0.5, "color_jitter": 0.4}, config)
    parts = [np.array([5, 1, 7]), np.array([2])]

    def drawn(seed, epoch, workers=0):
        source = ImageSource(Images(X), preprocess, augment, config, (), (), torch.device("cpu"), workers, seed)
        return [batch.inputs[0] for batch in source.batches(parts, epoch)]

    state = torch.get_rng_state(), np.random.RandomState(0)
    first = drawn(0, 1)
    assert torch.equal(torch.get_rng_state(), state[0])
    for again in (drawn(0, 1), drawn(0, 1, workers=2)):
        for one, other in zip(first, again, strict=True):
            assert torch.equal(one, other)
    assert not torch.equal(first[0], drawn(0, 2)[0])
    assert not torch.equal(first[0], drawn(1, 1)[0])
    torch.testing.assert_close(
        drawn(0, None)[1][0], networks.normalised(preprocess(Images(X).load(2))[None], config)[0]
    )


def test_an_image_that_cannot_be_read_is_named(tmp_path, images):
    from PIL import Image

    X, y = images
    paths = [tmp_path / f"{i}.png" for i in range(len(X))]
    for path, pixels in zip(paths, X, strict=True):
        Image.fromarray(pixels).save(path)
    model = FineTunedClassifier(backbone(), training=FineTuning(**FAST | {"epochs": 1, "lr": 1e-2}), random_state=0)
    with np.errstate(all="ignore"):
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AbstainWarning)
            from_paths = model.fit([str(path) for path in paths], y).history_
            assert from_paths == model.fit(X, y).history_
    paths[7].write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"7\.png"):
        model.fit([str(path) for path in paths], y)


@pytest.mark.parametrize("freeze_norm", [True, False])
@pytest.mark.parametrize("dropout", [True, False])
def test_dropout_and_moments_are_told_apart(dropout, freeze_norm, images):
    """Paths of the network that drop out change its features from pass to pass; moments move with the images."""
    body = timm.create_model("test_resnet", num_classes=0, drop_path_rate=0.9, zero_init_last=False)
    network = tuned.TunedNetwork(
        body, None, torch.nn.Linear(body.num_features, 1), FineTuning(dropout=dropout, freeze_norm=freeze_norm)
    ).train()
    pixels = torch.from_numpy(images[0][:16]).permute(0, 3, 1, 2).float()
    moments = [part.running_mean.clone() for part in body.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    with torch.no_grad():
        first, second = network(pixels, None), network(pixels, None)
    assert torch.equal(first, second) != dropout
    now = [part.running_mean for part in body.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    assert any(not torch.equal(*pair) for pair in zip(moments, now, strict=True)) != freeze_norm
    with torch.no_grad():
        assert torch.equal(network.eval()(pixels, None), network(pixels, None))


@pytest.mark.filterwarnings("ignore::abstain.warnings.FrozenStartWarning")
def test_the_second_stage_of_tcp_begins_where_the_head_ended(monkeypatch):
    """Stage one: the head on frozen features. Stage two: the encoder, too, at a rate of its own, without dropout."""
    X, y = hidden_bars()
    start, seen = backbone(), []
    clf = FrozenEstimator(make_pipeline(FrozenEstimator(start), LinearProbe()).fit(*bars(60, seed=3)))
    forward = tuned.TunedNetwork.forward

    def watched(self, *inputs):
        seen.append({part.training for part in self.body.modules()})
        return forward(self, *inputs)

    monkeypatch.setattr(tuned.TunedNetwork, "forward", watched)
    shared = {"backbone": start, "guard": None, "random_state": 0, "fit_backbone": True}
    still = FineTuning(**FAST, dropout=False, backbone_rate=0.0)
    moved = FineTuning(**FAST, dropout=False, backbone_rate=0.1)
    one, two = (TCPTrust(clf, training=training, **shared).fit(X, y) for training in (still, moved))
    assert set().union(*seen) == {False}
    assert one.scorer_.history_[0] == two.scorer_.history_[0]  # of the head alone
    np.testing.assert_allclose(one.scorer_.backbone_.transform(X), start.transform(X), atol=1e-5)


@pytest.mark.parametrize("preset", [SteepSlopeTrust, TCPTrust, CorrectnessTrust, FocalTrust])
@pytest.mark.filterwarnings("ignore::abstain.warnings.FrozenStartWarning")
def test_trust_heads_learn_with_their_backbone(preset):
    X, y = hidden_bars()
    start = backbone()
    clf = FrozenEstimator(make_pipeline(FrozenEstimator(start), LinearProbe()).fit(*bars(60, seed=3)))
    est = preset(
        clf, backbone=start, fit_backbone=True, guard=None, training=FineTuning(**FAST | {"epochs": 2}), random_state=0
    ).fit(X, y)
    assert est.report_.n < 40  # one split is held out
    score = est.score_samples(X)
    assert np.isfinite(score).all()
    assert ((score >= 0) & (score <= 1)).all()
    np.testing.assert_array_equal(est.predict(X), clf.predict(X))
    assert est.scorer_.history_[0]["epoch"] == -1
    fresh, labels = bars(60, seed=5)
    assert est.fit_policy(fresh, labels).policy_.certificate_.n == 60
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(est)).decide(fresh), est.decide(fresh))
    np.testing.assert_array_equal(est.decide(list(fresh)), est.decide(fresh))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"backbone": None}, "backbone must be a TimmBackbone"),
        ({"training": Training()}, "training of a backbone must be a FineTuning"),
        ({"estimator": None}, "fit_backbone needs estimator="),
        ({"hidden": (8,)}, r"hidden must be \(\)"),
        ({"head_inputs": "confidence"}, "head_inputs must be one of"),
        ({"fit_backbone": False, "checkpoint": "state.pt"}, "checkpoint is for fit_backbone=True"),
        ({"fit_backbone": "yes"}, "fit_backbone must be True or False"),
    ],
)
def test_what_does_not_go_together_is_named(images, params, message):
    X, y = images
    start = backbone()
    noisy = np.random.default_rng(0).permutation(y)
    clf = FrozenEstimator(make_pipeline(FrozenEstimator(start), LinearProbe()).fit(X[:20], y[:20]))
    options = {"estimator": clf, "backbone": start, "fit_backbone": True} | params
    with pytest.raises((TypeError, ValueError), match=message):
        SteepSlopeTrust(**options).fit(X, noisy)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": None}, "backbone must be a TimmBackbone"),
        ({"training": Training()}, "training of a backbone must be a FineTuning"),
        ({"loss": WLFLoss}, "loss must be a loss of logits"),
        ({"training": FineTuning(backbone_rate=-1)}, "backbone_rate must be a number at least 0"),
        ({"training": FineTuning(layer_decay=0)}, "layer_decay must be a number above 0"),
        ({"training": FineTuning(augment="much")}, "augment must be None, True, False or a dictionary"),
    ],
)
def test_bad_knobs_are_named_before_anything_is_trained(images, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        FineTunedClassifier(**{"backbone": backbone()} | options).fit(*images)


def test_stages_nearer_to_the_input_learn_less():
    network = tuned.TunedNetwork(
        backbone().module(), None, torch.nn.Linear(96, 2), FineTuning(backbone_rate=0.5, layer_decay=0.5)
    )
    groups = network.groups(FineTuning(backbone_rate=0.5, layer_decay=0.5))
    of = {id(value): group["scale"] for group in groups for value in group["params"]}
    named = [(name, of[id(value)]) for name, value in network.body.named_parameters()]
    assert named[0][1] < named[-1][1] == 0.5
    assert groups[-1]["scale"] == 1.0
    assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))


@pytest.mark.filterwarnings("ignore::abstain.warnings.FrozenStartWarning")
def test_a_checkpoint_of_another_loss_is_refused_though_it_prints_alike(tmp_path):
    X, y = bars(60)
    y = np.arange(60) % 40  # of so many classes that weights are printed in short
    flat = np.full((40, 40), 0.2 / 39) + (0.8 - 0.2 / 39) * np.eye(40)
    other = flat.copy()
    other[20, [18, 19]] += [0.002, -0.002]
    losses = WLFLoss(flat), WLFLoss(other)
    assert repr(losses[0]) == repr(losses[1])
    model = FineTunedClassifier(
        backbone(), loss=losses[0], checkpoint=tmp_path / "state.pt", random_state=0,
        training=FineTuning(**FAST | {"epochs": 1, "validation_fraction": 0.1}),
    )  # fmt: skip
    seeds = (seed for seed in range(200) if _keeps_all(y, seed))
    model.set_params(random_state=next(seeds)).fit(X, y)
    with pytest.raises(ValueError, match=r"belongs to another training: .*settings"):
        model.set_params(loss=losses[1]).fit(X, y)


def _keeps_all(y, seed):
    learnt, _ = draws.split(np.arange(len(y)), 0.1, np.random.RandomState(seed).randint(2**31))
    return len(np.unique(y[learnt])) == len(np.unique(y))

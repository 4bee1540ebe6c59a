"""Learned selection end to end: from the frozen network, resumed bit for bit, over any source of images."""

import pickle

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline

from abstain import (
    FineTuning,
    GamblersClassifier,
    LinearProbe,
    SelectiveNetClassifier,
    SelfAdaptiveClassifier,
    SYNCClassifier,
    TargetCoverage,
    Training,
)
from abstain.warnings import FrozenStartWarning

pytest.importorskip("timm", reason="needs timm: pip install '.[vision]'")

import torch
from bars import backbone, bars, hidden_bars
from kills import killed

from abstain.backbones import networks

pytestmark = [pytest.mark.vision, pytest.mark.filterwarnings("ignore::abstain.warnings.AbstainWarning")]
HARD = {"noise": 180, "bright": 45}
PRESETS = [SelectiveNetClassifier, SYNCClassifier, GamblersClassifier, SelfAdaptiveClassifier]
KNOBS = FineTuning(epochs=2, batch_size=16, lr=3e-3, device="cpu", checkpoint_every=0.0)


class Items(torch.utils.data.Dataset):
    """Images and labels as a data set of torch."""

    def __init__(self, X, y):
        self.X, self.y = X, y

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        return self.X[i], self.y[i]


def tuned(preset, *arguments, **options):
    shared = {"fit_backbone": True, "training": KNOBS, "hidden": (16,), "random_state": 0, "backbone": backbone()}
    return preset(*arguments, **shared | options)


@pytest.mark.parametrize("preset", PRESETS)
def test_prediction_and_selection_learn_with_their_backbone(preset):
    start, (X, y) = backbone(), bars(120, 2, **HARD)
    before = networks.arrays(start.module())
    knobs = FineTuning(epochs=5, batch_size=16, lr=1e-3, device="cpu")
    model = tuned(preset, backbone=start, training=knobs).fit(X, y)
    for name, value in networks.arrays(start.module()).items():
        np.testing.assert_array_equal(value, before[name])
    moved = any(not np.array_equal(value, before[name]) for name, value in model.learnt_.backbone.state_.items())
    losses = [epoch["validation_loss"] for epoch in model.history_]
    assert model.history_[0]["epoch"] == -1
    assert moved == (min(losses) < losses[0])
    assert moved or preset is SelfAdaptiveClassifier
    fresh, labels = bars(40, 5, **HARD)
    assert model.report_.n == 24  # a fifth is held out
    decided = model.decide(fresh)
    for other in (list(fresh), Items(fresh, labels)):
        np.testing.assert_array_equal(model.decide(other), decided)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).decide(fresh), decided)
    np.testing.assert_array_equal(tuned(preset, training=knobs).fit(Items(X, y), y).decide(fresh), decided)


@pytest.mark.parametrize("preset", PRESETS[:3])
def test_selectors_learn_with_their_backbone_behind_a_classifier(preset):
    X, y = hidden_bars(160)
    clf = FrozenEstimator(make_pipeline(FrozenEstimator(backbone()), LinearProbe()).fit(*bars(60, seed=3)))
    model = tuned(preset, clf, rank_by="selector").fit(X, y)
    np.testing.assert_array_equal(model.predict(X), clf.predict(X))
    fresh, labels = bars(40, seed=5)
    assert np.isfinite(model.score_samples(fresh)).all()
    np.testing.assert_array_equal(model.decide(list(fresh)), model.decide(fresh))
    assert model.fit_policy(fresh, labels, TargetCoverage(0.5)).accept(fresh).mean() >= 0.5


@pytest.mark.parametrize("way", ["joint", "post hoc"])
def test_what_a_selector_says_of_held_out_images_is_what_chose_the_epoch(way):
    X, y = hidden_bars(160)
    clf = FrozenEstimator(make_pipeline(FrozenEstimator(backbone()), LinearProbe()).fit(*bars(60, seed=3)))
    model = tuned(SYNCClassifier, *([clf] if way == "post hoc" else []), rank_by="selector").fit(X, y)
    best = min(epoch["validation_loss"] for epoch in model.history_)
    np.testing.assert_allclose(model.report_.augrc["selector"], best, atol=2e-3)


def test_one_fit_serves_several_coverages():
    X, y = hidden_bars(120)
    model = tuned(SYNCClassifier, coverage=0.8, coverages=[0.5]).fit(X, y)
    assert sorted(model.reports_) == [0.5, 0.8]
    fresh, _ = bars(40, seed=5)
    served = model.at(0.5)
    np.testing.assert_array_equal(served.predict(fresh), model.predict(fresh))
    assert served.policy_.threshold_ != model.policy_.threshold_


@pytest.mark.parametrize("way", ["joint", "post hoc"])
@pytest.mark.parametrize("preset", [SYNCClassifier, GamblersClassifier])
def test_a_run_that_is_killed_goes_on_bit_for_bit(preset, way, tmp_path, monkeypatch):
    X, y = hidden_bars(100)
    clf = FrozenEstimator(make_pipeline(FrozenEstimator(backbone()), LinearProbe()).fit(*bars(60, seed=3)))
    given = [clf] if way == "post hoc" else []
    whole = tuned(preset, *given).fit(X, y)
    for writes in (1, 8):
        path = tmp_path / f"{writes}.pt"
        with monkeypatch.context() as patch:
            killed(patch, writes)
            with pytest.raises(KeyboardInterrupt):
                tuned(preset, *given, checkpoint=path).fit(X, y)
        again = tuned(preset, *given, checkpoint=path).fit(X, y)
        assert again.history_ == whole.history_
        np.testing.assert_array_equal(again.score_samples(X), whole.score_samples(X))


def test_memory_of_the_samples_is_in_the_checkpoint(tmp_path, monkeypatch):
    """Self-adaptive targets are what each image was told last; a run that forgot them would go another way."""
    X, y = hidden_bars(100)
    whole = tuned(SelfAdaptiveClassifier).fit(X, y)
    with monkeypatch.context() as patch:
        killed(patch, 7)
        with pytest.raises(KeyboardInterrupt):
            tuned(SelfAdaptiveClassifier, checkpoint=tmp_path / "state.pt").fit(X, y)
    assert np.isfinite(torch.load(tmp_path / "state.pt", weights_only=True)["loss"]["memory"].numpy()).any()
    again = tuned(SelfAdaptiveClassifier, checkpoint=tmp_path / "state.pt").fit(X, y)
    np.testing.assert_array_equal(again.score_samples(X), whole.score_samples(X))


def test_a_start_that_stays_is_said():
    X, y = hidden_bars(100)
    with pytest.warns(FrozenStartWarning, match="frozen start is kept"):
        tuned(SelectiveNetClassifier, training=FineTuning(epochs=1, lr=0.3, batch_size=16, device="cpu")).fit(X, y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": None}, "backbone must be a TimmBackbone"),
        ({"training": Training()}, "training of a backbone must be a FineTuning"),
        ({"fit_backbone": False, "checkpoint": "state.pt", "training": None}, "checkpoint is for fit_backbone=True"),
        ({"fit_backbone": 2}, "fit_backbone must be True or False"),
        ({"risk": "error"}, 'risk="error" has no gradient'),
    ],
)
def test_what_does_not_go_together_is_named(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        tuned(SYNCClassifier, **options).fit(*bars(20))

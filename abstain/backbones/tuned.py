"""A backbone that is trained: on a copy, from its frozen start, together with a head."""

from importlib import import_module

import joblib
import numpy as np
import torch
from torch import nn

from abstain.backbones import networks
from abstain.backbones.image_source import ImageSource
from abstain.backbones.images import Images
from abstain.solvers.checkpoint import Checkpoint
from abstain.solvers.device import autocast, resolve_device
from abstain.solvers.sources import parts_of
from abstain.solvers.trainer import Trainer
from abstain.warnings import FrozenStartWarning, warn

_NORMS = (nn.modules.batchnorm._BatchNorm,)


class TunedNetwork(nn.Module):
    """A backbone, and a head on its features and on a few columns.

    Parameters
    ----------
    body : Module
        The network of a backbone.
    layer : str or None
        Module whose output are the features.
    head : Module
        ``(columns, *others) -> outputs``, of features and other columns side by side, and of what else it takes.
    tuning : FineTuning
        What is trained, and how.
    """

    def __init__(self, body, layer, head, tuning):
        super().__init__()
        self.body, self.head, self.layer, self.tuning = body, head, layer, tuning

    def forward(self, images, columns, *others):
        """Outputs of the head."""
        features = networks.features(self.body, self.layer, images).float()
        inputs = features if columns is None else torch.cat([features, columns], dim=1)
        with torch.autocast(features.device.type, enabled=False):
            return self.head(inputs, *others)

    def train(self, mode=True):
        """Train, with moments of batches and dropout as the knobs say."""
        super().train(mode)
        for part in self.body.modules() if mode else ():
            part.training = not self.tuning.freeze_norm if isinstance(part, _NORMS) else self.tuning.dropout
        return self

    def groups(self, training):
        """Parameters with the share of the rate that they learn at: those of the body a share, less further down."""
        body = [(name, value) for name, value in self.body.named_parameters() if value.requires_grad]
        stages = _stages([name for name, _ in body])
        deepest = max(stages, default=0)
        groups: dict = {}
        for stage, (_, value) in zip(stages, body, strict=True):
            scale = training.backbone_rate * training.layer_decay ** (deepest - stage)
            groups.setdefault((scale, value.ndim > 1), []).append(value)
        groups[1.0, None] = list(self.head.parameters())
        return [
            {"params": values, "scale": scale} | ({} if decays is not False else {"weight_decay": 0.0})
            for (scale, decays), values in groups.items()
        ]


def _stages(names):
    """Place of each parameter in the depth of a network, from the order of its modules."""
    places: dict[str, int] = {}
    for name in names:
        places.setdefault(".".join(name.split(".")[:2]), len(places))
    return [places[".".join(name.split(".")[:2])] for name in names]


def fine_tune(
    backbone, images, head, loss, *, targets, learnt, held, tuning, seed, judge, others=(None,), checkpoint=None,
    what=None, wrap=TunedNetwork, preprocess=None,
):  # fmt: skip
    """Train a copy of a backbone with a head, from its frozen start.

    Parameters
    ----------
    backbone : TimmBackbone
        Stays as it is.
    images : object
        As of `TimmBackbone.transform`.
    head : Module
        Fitted on the frozen features of the rows to learn from already.
    loss : callable
        ``loss(outputs, batch, epoch) -> scalar``, as of `Trainer`.
    targets : tuple of ndarray
        What the loss takes besides.
    learnt, held : ndarray of int
        Rows to learn from, and rows by which the epoch is chosen; the head must not have been fitted on these, or the
        start could not be told from what is better.
    tuning : FineTuning
        The knobs.
    seed : int
        Seed.
    judge : callable
        ``judge(outputs, rows) -> dict`` on the rows held back, with "validation_loss", of which smaller is better, and
        what else is worth keeping; outputs are ndarrays.
    others : tuple of ndarray or None, default=(None,)
        What the head takes beside features: columns that stand beside them (n, c), and anything else; None is none.
    checkpoint : str or Path, default=None
        Where the state of training is kept, and found again.
    what : object, default=None
        What else a checkpoint must belong to, such as the loss.
    wrap : callable, default=TunedNetwork
        ``(body, layer, head, tuning) -> network``.
    preprocess : callable, default=None
        PIL image -> tensor; None is that of the backbone.

    Returns
    -------
    tuned : TimmBackbone
        The copy, with its weights.
    network : TunedNetwork
        With its head.
    history : list of dict
        As of `Trainer.fit`; the first entry is the frozen start.
    """
    device, source = resolve_device(tuning.device), Images(images)
    body, (_, own, config) = backbone.module(), backbone._loaded()
    network = wrap(body, backbone.layer, head, tuning).to(device)
    augment = augmentation(tuning.augment, config)
    data = ImageSource(source, preprocess or own, augment, config, targets, others, device, backbone.num_workers, seed)

    def validate(network):
        return judge(outputs_of(network, data, held, tuning), held)

    keep = None
    if checkpoint is not None:
        knobs = {name: value for name, value in tuning.get_params().items() if name not in ("device", "accumulate")}
        keep = Checkpoint(checkpoint, {
            "data": joblib.hash([source.key(), source.contents(), targets, others, learnt]),
            "network": joblib.hash(networks.arrays(network)),
            "settings": joblib.hash([sorted(knobs.items(), key=str), seed, what]),
            "version": import_module("abstain").__version__,
        }, tuning.checkpoint_every)  # fmt: skip
    trainer = Trainer(
        network, data, loss, tuning, seed=seed, validate=validate if len(held) else None, first_epoch=-1,
        title="fine-tuning", checkpoint=keep,
    )  # fmt: skip
    history = trainer.fit(learnt)
    if len(held) and trainer.state.best_epoch < 0:
        warn(
            f"fine-tuning did not lower the held-out loss ({trainer.state.best_loss[0]:.4g}) in {len(history)} epochs: "
            "the frozen start is kept. Lower training.lr or backbone_rate, or give more data.",
            FrozenStartWarning,
        )
    history = [{"epoch": -1, "validation_loss": trainer.state.start_loss}, *history]
    return backbone.keeping(networks.arrays(network.body)), network, history


def outputs_of(network, data, rows, tuning):
    """Outputs of a network for some rows, as ndarrays: (n, ...) or a tuple of them."""
    found = []
    with torch.inference_mode(), autocast(data.device, tuning.amp):
        for batch in data.batches(parts_of(rows, max(1, tuning.batch_size // tuning.accumulate))):
            outputs = network(*batch.inputs)
            found.append(outputs if isinstance(outputs, tuple) else (outputs,))
    parts = [
        None if column[0] is None else np.concatenate([part.double().cpu().numpy() for part in column])
        for column in zip(*found, strict=True)
    ]
    return parts[0] if len(parts) == 1 else tuple(parts)


def augmentation(augment, config):
    """The transform of training: none, timm's own for True, or what is given to ``timm.data.create_transform``."""
    if augment is None or augment is False:
        return None
    return networks.pixels({**config, "is_training": True, **({} if augment is True else dict(augment))})

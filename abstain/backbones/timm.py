"""Any timm network as a scikit-learn transformer: images in, float32 features out, streamed, cached, resumable."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import joblib
import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator

from abstain.backbones.images import Images
from abstain.backbones.store import FeatureStore, locked
from abstain.classifiers.linear_head import linear_head
from abstain.utils.cargo import is_shipping, packed, unpacked
from abstain.utils.optional import import_extra
from abstain.utils.progress import progress
from abstain.utils.validation import check_choice, check_flag
from abstain.warnings import RandomWeightsWarning, UnreadableImageWarning, warn

# what the network and its preprocessing depend on; a change of another parameter loads nothing anew
_NETWORK = ("model_name", "pretrained", "weights", "pool", "mean", "std", "input_size", "device", "layer")

KEPT = "kept"
# changed where features of the same images and weights come out otherwise, if only in their last digits
_ARITHMETIC = 2


class TimmBackbone(TransformerMixin, BaseEstimator):
    """Frozen feature extractor.

    Parameters
    ----------
    model_name : str, default="resnet50"
        A name that ``timm.create_model`` knows.
    pretrained : bool, default=False
        Whether timm downloads its weights.
    weights : str or Path, default=None
        State dict to load, by names, or by position where the names differ but all shapes agree in order. None without
        ``pretrained`` gives random weights, the same every time, with a warning; "random" asks for them. "kept" are
        those in ``state_`` of an object that was trained, or saved and loaded; a clone of it has none.
    mean, std : tuple of float, default=None
        Normalisation of the channels; None is what timm lists for the architecture. Weights trained elsewhere may
        need another: the wrong one costs tens of points of accuracy without an error.
    input_size : int, default=None
        Side of the square input in pixels; None is the network's own.
    pool : str, default=None
        Global pooling, for example "avg"; None is the network's own.
    layer : str, default=None
        Name of a module whose output is taken instead of the last features, averaged over positions.
    device : str, default="auto"
        "auto" takes a GPU where there is one.
    amp : bool, "auto" or "float16", default="auto"
        Mixed precision; "auto" is bfloat16 on a GPU that has it, and True everywhere; "float16" for one without.
    batch_size : int, default=64
        Images a forward pass.
    num_workers : int, default=0
        Processes that decode images.
    cache : str, Path or joblib.Memory, default=None
        Folder where `transform` keeps features as plain arrays, by weights, preprocessing and data.
    unreadable : {"raise", "skip"}, default="raise"
        What to do with images that cannot be read. "skip" warns with their paths and leaves their rows NaN, so that
        rows still match labels.

    Attributes
    ----------
    unreadable_ : list of str
        Images that the last extraction could not read.
    state_ : dict of str to ndarray
        The weights, with ``weights="kept"``.

    Notes
    -----
    An object may be used by several threads. Forked children of a process that has used it compute with one thread:
    those of torch do not survive a fork.

    Examples
    --------
    >>> from abstain import TimmBackbone
    >>> TimmBackbone("test_vit", batch_size=8)
    TimmBackbone(batch_size=8, model_name='test_vit')
    """

    def __init__(
        self, model_name: str = "resnet50", *, pretrained: bool = False, weights: str | Path | None = None,
        mean: tuple[float, ...] | None = None, std: tuple[float, ...] | None = None, input_size: int | None = None,
        pool: str | None = None, layer: str | None = None, device: str = "auto", amp: bool | str = "auto",
        batch_size: int = 64, num_workers: int = 0, cache: Any = None, unreadable: str = "raise",
    ) -> None:  # fmt: skip
        self.model_name = model_name
        self.pretrained = pretrained
        self.weights = weights
        self.mean = mean
        self.std = std
        self.input_size = input_size
        self.pool = pool
        self.layer = layer
        self.device = device
        self.amp = amp
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.cache = cache
        self.unreadable = unreadable

    def fit(self, X: Any = None, y: Any = None) -> Self:
        """Do nothing: the weights are frozen.

        Parameters
        ----------
        X, y : object, default=None
            Ignored.

        Returns
        -------
        self : object
            The transformer.
        """
        return self

    def transform(self, images: Any) -> np.ndarray:
        """Extract features.

        Parameters
        ----------
        images : folder, list of paths, ndarray, list of PIL images or torch Dataset
            A folder of sub-folders; files; a uint8 array of shape (n, H, W, 3); or anything with a length whose
            items are images, or float tensors that are preprocessed already.

        Returns
        -------
        features : ndarray of shape (n, d)
            In float32.

        Raises
        ------
        ImportError
            If timm is absent; the message names the install command.
        ValueError
            If the images are empty or malformed, or one cannot be read and ``unreadable="raise"``.
        """
        source = Images(images)
        if self.cache is not None:
            folder = Path(self.cache.location if hasattr(self.cache, "location") else self.cache)
            return np.array(self._extract(source, folder / f"{self._key(source.key())}.npy"))
        parts, failures = [], []
        for _, features, failed in self._stream(source, np.arange(len(source))):
            parts.append(features)
            failures += failed
        self._report(failures)
        return np.concatenate(parts)

    def extract(self, images: Any, out: str | Path, *, together: bool = False) -> np.ndarray:
        """Extract features straight into a memory-mapped ``.npy`` file, going on where an earlier call was cut off.

        Parameters
        ----------
        images : folder, list of paths, ndarray, list of PIL images or torch Dataset
            As in `transform`.
        out : str or Path
            The file. Until it is complete, the work is in ``<out>.part`` and ``<out>.journal``. A complete file is
            returned as it is while weights, settings and images stay the same.
        together : bool, default=False
            Whether the processes of ``torch.distributed`` share the work; all of them must call this, with the same
            images. Each goes on with its own part where it was cut off.

        Returns
        -------
        features : memmap of shape (n, d)
            In float32, read-only.

        Raises
        ------
        OSError
            If the disk is full; finished rows are kept, and the next call goes on from there.
        ValueError
            If an image cannot be read and ``unreadable="raise"``; finished rows are kept.
        """
        source = Images(images)
        if not check_flag(together, "together"):
            return self._extract(source, out)
        from abstain.backbones.sharing import extract_together

        return extract_together(self._extract, self._described, source, out)

    def _extract(self, source, out):
        with locked(out):
            store = FeatureStore(out, *self._described(source))
            store.forget(source.changed_since(store.started))
            failures = []
            for rows, features, failed in self._stream(source, store.missing(), before_raising=store.write):
                good = ~np.isin(rows, [row for row, _, _ in failed])
                store.write(rows[good], features[good])
                failures += failed
            self._report(failures)
            return store.finish()

    def _described(self, source):
        return (len(source), self._width()), self._key(source.key()), source.states()

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the features: that of the network, and a number.

        Parameters
        ----------
        input_features : object, default=None
            Ignored: images have no columns.

        Returns
        -------
        names : ndarray of shape (d,) of str
            One a column of `transform`.

        Raises
        ------
        NotFittedError
            Before the network has been used: it is loaded to be used, not to be printed.
        """
        if not hasattr(self, "_network"):
            raise NotFittedError("the number of features is known after the first transform.")
        return np.array([f"{self.model_name}_{i}" for i in range(self._width())], dtype=object)

    def linear_head(self, classes: ArrayLike | None = None) -> FrozenEstimator:
        """Return the network's own last layer as a fitted classifier on the features.

        Parameters
        ----------
        classes : array-like of shape (n_classes,), default=None
            Sorted labels of its outputs; None is 0, 1, ...

        Returns
        -------
        classifier : FrozenEstimator
            See `linear_head`. Several heads that the network averages, and convolutions of pooled features, are one.

        Raises
        ------
        ValueError
            If the logits of the network are no affine function of the features, which is tried on two images, or
            ``layer`` takes features from elsewhere.
        """
        if self.layer is not None:
            raise ValueError(
                f"linear_head needs the features that feed the classifier, not those of layer={self.layer!r}. Leave "
                "layer=None, or fit a classifier on the features instead."
            )
        network, _, config = self._loaded()
        import torch

        from abstain.backbones.affine import affine_head

        images = torch.randn(2, *config["input_size"], generator=torch.Generator().manual_seed(0))
        weight, bias = affine_head(network, images.to(next(network.parameters()).device))
        return linear_head(weight.numpy(), bias.numpy(), classes)

    def module(self) -> Any:
        """Return a fresh trainable copy of the network.

        Returns
        -------
        network : torch.nn.Module
            In training mode, with gradients; the extractor's own weights are not touched.
        """
        import copy

        network = copy.deepcopy(self._loaded()[0])
        for part in network.modules():
            part._forward_hooks.clear()  # that of ``layer`` is the extractor's own
        return network.requires_grad_(True).train()

    def _loaded(self):
        """Network and preprocessing, built on first use and left behind by pickles and clones."""
        options = [*(getattr(self, name) for name in _NETWORK), _state(self.weights)]
        if getattr(self, "_network", (None,))[0] != options:  # set_params may have asked for another network
            import_extra("torch", "vision")
            import_extra("timm", "vision")
            import torch

            from abstain.backbones import networks
            from abstain.solvers.device import resolve_device

            network = self._built()
            if not self.pretrained and self.weights is None:
                warn(
                    f"{self.model_name} has random weights, and so have its features: pass weights=, a file, or "
                    'pretrained=True. weights="random" says that it is meant.',
                    RandomWeightsWarning,
                )
            network.to(resolve_device(self.device), memory_format=torch.channels_last)
            config = networks.preprocessing(network, self.mean, self.std, self.input_size)
            self._network = options, network, networks.pixels(config), config
        return self._network[1:]

    def _built(self):
        from abstain.backbones import networks

        if self.weights != KEPT:
            return networks.build(self.model_name, self.pretrained, self.weights, self.pool, self.layer)
        if not hasattr(self, "state_"):
            raise NotFittedError(
                'weights="kept" are those of an object that was trained or loaded, and this one has none. Pass '
                "weights=, a file, or pretrained=True."
            )
        return networks.build(self.model_name, False, networks.RANDOM, self.pool, self.layer, self.state_)

    def __sklearn_clone__(self):
        other = super().__sklearn_clone__()
        if self.weights == KEPT and hasattr(self, "state_"):
            other.state_ = self.state_
        return other

    def keeping(self, state: dict[str, np.ndarray]) -> TimmBackbone:
        """Return the same transformer with weights that are kept in it.

        Parameters
        ----------
        state : dict of str to ndarray
            The weights.

        Returns
        -------
        kept : TimmBackbone
            Its pickles and files hold the weights.
        """
        kept = clone(self).set_params(weights=KEPT, pretrained=False)
        kept.state_ = state
        return kept

    def _key(self, data):
        network, _, config = self._loaded()
        state = joblib.hash({name: tensor.cpu().numpy() for name, tensor in network.state_dict().items()})
        precision = self.amp, next(network.parameters()).device.type
        settings = self.model_name, self.pool, self.layer, precision, sorted(config.items())
        return joblib.hash([_ARITHMETIC, state, *settings, data])

    def _width(self):
        import_extra("torch", "vision")
        import torch

        return self._forward(torch.zeros((1, *self._loaded()[2]["input_size"]), dtype=torch.uint8)).shape[1]

    def _stream(self, source, rows, before_raising=None):
        """Yield (rows, features, failures) in batches; an image that cannot be read has NaN features, or raises."""
        check_choice(self.unreadable, "unreadable", ("raise", "skip"))
        _, preprocess, config = self._loaded()
        from abstain.backbones.loading import batches

        on_gpu = self._device().type == "cuda"
        loaded = batches(source, rows, preprocess, config, self.batch_size, self.num_workers, pin=on_gpu)
        launched = ((picked, self._launch(images), failures) for picked, images, failures in loaded)
        with progress(len(rows), f"{self.model_name} features") as advance:
            # while a GPU computes a batch, the one before is written, and the next is decoded
            for picked, fetch, failures in _one_ahead(launched) if on_gpu else launched:
                features = fetch()
                bad = np.isin(picked, [row for row, _, _ in failures])
                features[bad] = np.nan
                if failures and self.unreadable == "raise":
                    if before_raising is not None:
                        before_raising(picked[~bad], features[~bad])
                    self._report(failures)
                yield picked, features, failures
                advance(len(picked))

    def _report(self, failures):
        """Raise, or warn, with the paths of the images that could not be read."""
        self.unreadable_ = [name for _, name, _ in failures]
        if not failures:
            return
        listed = "; ".join(f"{name} ({reason})" for _, name, reason in failures[:10])
        message = f"{len(failures)} images could not be read: {listed}{' ...' if len(failures) > 10 else ''}"
        if self.unreadable == "raise":
            raise ValueError(f'{message}. Repair them, or pass unreadable="skip".')
        warn(f"{message}; their features are NaN.", UnreadableImageWarning)

    def _device(self):
        return next(self._loaded()[0].parameters()).device

    def _forward(self, images):
        return self._launch(images)()

    def _launch(self, images):
        """Begin to compute features; return a function that waits for them."""
        import torch

        from abstain.backbones import networks
        from abstain.solvers.device import autocast

        network, _, config = self._loaded()
        device, channels = self._device(), config["input_size"][0]
        if images.ndim != 4 or images.shape[1] != channels:
            raise ValueError(
                f"images as tensors must have shape ({channels}, H, W) each; got {tuple(images.shape[1:])}."
            )
        images = images.to(device, memory_format=torch.channels_last, non_blocking=True)
        with torch.inference_mode(), autocast(device, self.amp):
            features = networks.features(network, self.layer, networks.normalised(images, config))
        if features.ndim != 2:
            raise ValueError(
                f"pool={self.pool!r} leaves features of shape {tuple(features.shape)} where one vector an image is "
                'needed. Use pool="avg", or None.'
            )
        return networks.fetched_later(features.float())

    def __getstate__(self):
        state = super().__getstate__().copy()
        state.pop("_network", None)
        if is_shipping():
            state |= self._shipped()
        if "state_" in state:
            state["state_"] = packed(state["state_"])
        return state

    def _shipped(self):
        """What is another where it is loaded: files, folders and downloads may be missing there."""
        if self.weights == KEPT or not (self.pretrained or self.weights not in (None, "random")):
            return {"cache": None}
        from abstain.backbones.networks import arrays

        return {"cache": None, "weights": KEPT, "pretrained": False, "state_": arrays(self._loaded()[0])}

    def __setstate__(self, state):
        if "state_" in state:
            state = state | {"state_": unpacked(state["state_"])}
        super().__setstate__(state)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.requires_fit = False
        return tags


def _one_ahead(items):
    """The same items, of which the next one is there before one is handed on."""
    items = iter(items)
    waiting = next(items, None)
    while waiting is not None:
        following = next(items, None)
        yield waiting
        waiting = following


def _state(weights):
    """What tells a weights file from one that has replaced it; None for what is no file."""
    path = Path(weights) if isinstance(weights, str | Path) else None
    if path is None or not path.is_file():
        return None
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns

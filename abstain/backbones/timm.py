"""Any timm network as a scikit-learn transformer: images in, float32 features out, streamed, cached, resumable."""

import joblib
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from abstain.backbones.images import Images
from abstain.backbones.linear import linear_head
from abstain.backbones.store import FeatureStore
from abstain.utils.optional import import_extra
from abstain.utils.progress import progress
from abstain.utils.validation import check_choice
from abstain.warnings import UnreadableImageWarning, warn

# what the network and its preprocessing depend on; a change of another parameter loads nothing anew
_NETWORK = ("model_name", "pretrained", "weights", "pool", "mean", "std", "input_size", "device")


class TimmBackbone(TransformerMixin, BaseEstimator):
    """Frozen feature extractor.

    Parameters
    ----------
    model_name : str, default="resnet50"
        A name that ``timm.create_model`` knows.
    pretrained : bool, default=False
        Whether timm downloads its weights. False without ``weights`` gives random weights, the same every time.
    weights : str or Path, default=None
        State dict to load, by names, or by position where the names differ but all shapes agree in order.
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
    amp : bool or "auto", default="auto"
        Mixed precision; "auto" is bfloat16 on a GPU that has it.
    batch_size : int, default=64
        Images a forward pass.
    num_workers : int, default=0
        Processes that decode images.
    cache : str, Path or joblib.Memory, default=None
        Where `transform` keeps features, by weights, preprocessing and data.
    unreadable : {"raise", "skip"}, default="raise"
        What to do with images that cannot be read. "skip" warns with their paths and leaves their rows NaN, so that
        rows still match labels.

    Attributes
    ----------
    unreadable_ : list of str
        Images that the last extraction could not read.

    Examples
    --------
    >>> from abstain import TimmBackbone
    >>> TimmBackbone("test_vit", batch_size=8)
    TimmBackbone(batch_size=8, model_name='test_vit')
    """

    def __init__(
        self, model_name="resnet50", *, pretrained=False, weights=None, mean=None, std=None, input_size=None, pool=None,
        layer=None, device="auto", amp="auto", batch_size=64, num_workers=0, cache=None, unreadable="raise",
    ):  # fmt: skip
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

    def fit(self, X=None, y=None):
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

    def transform(self, images):
        """Extract features.

        Parameters
        ----------
        images : folder, list of paths, ndarray, list of PIL images or torch Dataset
            A folder of sub-folders; files; a uint8 array of shape (n, H, W, 3); or anything with a length whose
            items are images, or float tensors that are preprocessed already.

        Returns
        -------
        features : ndarray of shape (n, d)
            float32.

        Raises
        ------
        ImportError
            If timm is absent; the message names the install command.
        ValueError
            If the images are empty or malformed, or one cannot be read and ``unreadable="raise"``.
        """
        source = Images(images)
        if self.cache is None:
            features, failures = self._collect(source)
        else:
            memory = self.cache if hasattr(self.cache, "cache") else joblib.Memory(self.cache, verbose=0)
            cached = memory.cache(_cached_features, ignore=["backbone", "source"])
            features, failures = cached(self._key(source.key()), backbone=self, source=source)
        self._report(failures)
        return features

    def extract(self, images, out):
        """Extract features straight into a memory-mapped ``.npy`` file, going on where an earlier call was cut off.

        Parameters
        ----------
        images : folder, list of paths, ndarray, list of PIL images or torch Dataset
            As in `transform`.
        out : str or Path
            The file. Until it is complete, the work is in ``<out>.part`` and ``<out>.journal``. A complete file is
            returned as it is while weights, settings and images stay the same.

        Returns
        -------
        features : memmap of shape (n, d)
            float32, read-only.

        Raises
        ------
        OSError
            If the disk is full; finished rows are kept, and the next call goes on from there.
        ValueError
            If an image cannot be read and ``unreadable="raise"``; finished rows are kept.
        """
        source = Images(images)
        keys = (self._key(source.key(contents=contents)) for contents in (False, True))
        store = FeatureStore(out, (len(source), self._width()), *keys)
        store.forget(source.changed_since(store.started))
        failures = []
        for rows, features, failed in self._stream(source, store.missing()):
            good = ~np.isnan(features).any(axis=1)
            store.write(rows[good], features[good])
            failures += failed
        self._report(failures)
        return store.finish()

    def linear_head(self, classes=None):
        """Return the network's own last layer as a fitted classifier on the features.

        Parameters
        ----------
        classes : array-like of shape (n_classes,), default=None
            Sorted labels of its outputs; None is 0, 1, ...

        Returns
        -------
        classifier : FrozenEstimator
            See `linear_head`.

        Raises
        ------
        ValueError
            If the network has no linear classifier, or ``layer`` takes features from elsewhere.
        """
        last = self._loaded()[0].get_classifier()
        if self.layer is not None or not hasattr(last, "in_features"):
            raise ValueError(
                f"linear_head needs the features that feed a linear classifier; {self.model_name} with "
                f"layer={self.layer!r} has none. Fit a classifier on the features instead."
            )
        bias = None if last.bias is None else last.bias.detach().float().cpu().numpy()
        return linear_head(last.weight.detach().float().cpu().numpy(), bias, classes)

    def module(self):
        """Return a fresh trainable copy of the network.

        Returns
        -------
        network : torch.nn.Module
            In training mode, with gradients; the extractor's own weights are not touched.
        """
        import copy

        network = copy.deepcopy(self._loaded()[0])
        return network.requires_grad_(True).train()

    def _loaded(self):
        """Network and preprocessing, built on first use and left behind by pickles and clones."""
        options = [getattr(self, name) for name in _NETWORK]
        if getattr(self, "_network", (None,))[0] != options:  # set_params may have asked for another network
            import_extra("torch", "vision")
            import_extra("timm", "vision")
            import torch
            from timm.data import create_transform

            from abstain.backbones import networks
            from abstain.solvers.device import resolve_device

            network = networks.build(self.model_name, self.pretrained, self.weights, self.pool)
            network.to(resolve_device(self.device), memory_format=torch.channels_last)
            config = networks.preprocessing(network, self.mean, self.std, self.input_size)
            self._network = options, network, create_transform(**config), config
        return self._network[1:]

    def _key(self, data):
        network, _, config = self._loaded()
        state = joblib.hash({name: tensor.cpu().numpy() for name, tensor in network.state_dict().items()})
        precision = self.amp, next(network.parameters()).device.type
        return joblib.hash([state, self.model_name, self.pool, self.layer, precision, sorted(config.items()), data])

    def _width(self):
        import_extra("torch", "vision")
        import torch

        return self._forward(torch.zeros((1, *self._loaded()[2]["input_size"]))).shape[1]

    def _collect(self, source):
        """Features of all images, and the failures."""
        parts = list(self._stream(source, np.arange(len(source))))
        failures = [failure for _, _, failed in parts for failure in failed]
        return np.concatenate([features for _, features, _ in parts]), failures

    def _stream(self, source, rows):
        """Yield (rows, features, failures) in batches; an image that cannot be read has NaN features."""
        check_choice(self.unreadable, "unreadable", ("raise", "skip"))
        _, preprocess, config = self._loaded()
        from abstain.backbones.loading import batches

        loaded = batches(source, rows, preprocess, config["input_size"], self.batch_size, self.num_workers)
        with progress(len(rows), f"{self.model_name} features") as advance:
            for picked, images, failures in loaded:
                features = self._forward(images)
                features[np.isin(picked, [row for row, _, _ in failures])] = np.nan
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

    def _forward(self, images):
        import torch

        from abstain.backbones import networks
        from abstain.solvers.device import autocast

        network = self._loaded()[0]
        device = next(network.parameters()).device
        images = images.to(device, memory_format=torch.channels_last)
        with torch.inference_mode(), autocast(device, self.amp):
            return networks.features(network, self.layer, images).float().cpu().numpy()

    def __getstate__(self):
        state = super().__getstate__().copy()
        state.pop("_network", None)
        return state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.requires_fit = False
        return tags


def _cached_features(key, backbone, source):
    return backbone._collect(source)

"""Classifiers that are fitted elsewhere: what one has saved, and a torch module."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.frozen import FrozenEstimator
from sklearn.utils.metaestimators import available_if

from abstain.utils.borders import label_column
from abstain.utils.labels import label_codes
from abstain.utils.optional import import_extra
from abstain.utils.validation import check_choice, check_count, check_logits, check_proba


def saved_outputs(classes: ArrayLike, kind: str = "logits") -> FrozenEstimator:
    """Take what a classifier has said of every sample as the data, and the classifier as one that says it again.

    Parameters
    ----------
    classes : int or array-like of shape (n_classes,)
        Number of classes 0, 1, ..., or their labels, sorted; columns of the data are in this order.
    kind : {"logits", "proba"}, default="logits"
        What the data are.

    Returns
    -------
    classifier : FrozenEstimator
        With ``predict_proba``, and ``decision_function`` for logits.

    Raises
    ------
    ValueError
        If labels are not sorted and distinct, or the kind is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain import SelectiveClassifier, TargetCoverage, saved_outputs
    >>> logits = np.random.default_rng(0).normal(size=(100, 3))
    >>> est = SelectiveClassifier(saved_outputs(["cat", "dog", "emu"]), policy=TargetCoverage(0.5))
    >>> est = est.fit_policy(logits, np.repeat(["cat", "dog"], 50))
    >>> est.decide(logits[:3]).shape
    (3,)
    """
    return FrozenEstimator(SavedOutputs(_labels(classes), check_choice(kind, "kind", ("logits", "proba"))))


def torch_classifier(module: Any, classes: ArrayLike, *, batch_size: int = 256) -> FrozenEstimator:
    """Wrap a trained torch module as a frozen classifier.

    Parameters
    ----------
    module : torch.nn.Module
        From a batch to logits of shape (n, n_classes); for two classes also (n, 1) or (n,), the log-odds of the second.
        It is evaluated where it is, in evaluation mode.
    classes : int or array-like of shape (n_classes,)
        Number of classes 0, 1, ..., or their labels, sorted; outputs are in this order.
    batch_size : int, default=256
        Samples that go through at once.

    Returns
    -------
    classifier : FrozenEstimator
        With ``predict_proba`` and ``decision_function``. Data are arrays or tensors; doubles go in as float32.

    Raises
    ------
    TypeError
        If ``module`` is no torch module.
    ValueError
        If labels are not sorted and distinct.

    Examples
    --------
    >>> import torch
    >>> from abstain import torch_classifier
    >>> network = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    >>> torch_classifier(network, ["cat", "dog", "emu"]).predict_proba(torch.zeros(5, 4)).shape
    (5, 3)
    """
    torch = import_extra("torch", "torch")
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"module must be a torch.nn.Module; got {module!r}.")
    check_count(batch_size, "batch_size")
    return FrozenEstimator(TorchClassifier(module, _labels(classes), batch_size))


def _labels(classes):
    """Labels as an array, from their number or themselves."""
    if np.ndim(classes) == 0:
        check_count(classes, "classes", least=2)
        return np.arange(int(classes))
    labels = label_column(classes, "classes")
    if not np.array_equal(label_codes(labels, name="classes")[0], labels):
        raise ValueError("classes must be sorted and distinct; sort them, and the columns with them.")
    return labels


class Outside(ClassifierMixin, BaseEstimator):
    """Base of the classifiers that were fitted elsewhere, which say logits."""

    def fit(self, X, y):
        """Return itself."""
        return self

    @property
    def classes_(self):
        """Labels, sorted."""
        return self.classes

    def predict(self, X):
        """Label of the largest probability."""
        return self.classes[self.predict_proba(X).argmax(axis=1)]

    def predict_proba(self, X):
        """Probabilities, (n, n_classes)."""
        return softmax(self.decision_function(X), axis=1)

    def _checked(self, logits):
        if logits.shape[1] != len(self.classes):
            raise ValueError(f"X must have one column for each of {len(self.classes)} classes; got {logits.shape[1]}.")
        return logits


def _says_logits(classifier):
    return classifier.kind == "logits"


class SavedOutputs(Outside):
    """What `saved_outputs` returns, within a `FrozenEstimator`.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        Labels.
    kind : {"logits", "proba"}
        What the data are.
    """

    def __init__(self, classes, kind):
        self.classes = classes
        self.kind = kind

    @available_if(_says_logits)
    def decision_function(self, X):
        """The data, where they are logits."""
        return self._checked(check_logits(X, "X"))

    def predict_proba(self, X):
        """The data, or their softmax."""
        if self.kind == "logits":
            return super().predict_proba(X)
        return self._checked(check_proba(X, "X", 'pass kind="logits"'))


class TorchClassifier(Outside):
    """What `torch_classifier` returns, within a `FrozenEstimator`.

    Parameters
    ----------
    module : torch.nn.Module
        Trained.
    classes : ndarray of shape (n_classes,)
        Labels.
    batch_size : int
        Samples at once.
    """

    def __init__(self, module, classes, batch_size):
        self.module = module
        self.classes = classes
        self.batch_size = batch_size

    def decision_function(self, X):
        """Logits, float32 of shape (n, n_classes)."""
        import torch

        X = X.to_numpy() if hasattr(X, "iloc") else X
        where = next(iter(self.module.parameters()), torch.empty(0))
        was_training = self.module.training
        found = []
        try:
            self.module.eval()
            with torch.inference_mode():
                for start in range(0, len(X), self.batch_size):
                    found.append(self._logits(_tensor(X[start : start + self.batch_size]), where))
        finally:
            self.module.train(was_training)
        return self._checked(np.concatenate(found) if found else np.empty((0, len(self.classes)), dtype=np.float32))

    def _logits(self, batch, where):
        batch = batch.to(where.device, where.dtype) if batch.is_floating_point() else batch.to(where.device)
        try:
            out = self.module(batch)
        except RuntimeError as error:
            raise ValueError(
                f"X: the module does not take a batch of shape {tuple(batch.shape)} and dtype {batch.dtype} ({error}). "
                "Pass data as it takes them; pixels as floats, if that is what it wants."
            ) from error
        if not hasattr(out, "detach"):
            raise TypeError(
                f"module must return a tensor of logits; got {type(out).__name__}. Wrap it in one that does."
            )
        shape, out = tuple(out.shape), out.float().cpu().numpy()
        if out.size % len(batch):
            raise ValueError(f"module must return a row for each of {len(batch)} samples; got shape {shape}.")
        out = out.reshape(len(batch), -1)  # a module that squeezes drops the axis of a single sample, too
        return np.concatenate([-out / 2, out / 2], axis=1) if len(self.classes) == 2 and out.shape[1] == 1 else out


def _tensor(batch):
    """A tensor of its own, row after row, since sums round by the order: arrays may be read-only, or run backwards."""
    import torch

    return batch if torch.is_tensor(batch) else torch.from_numpy(np.array(batch, order="C"))

"""The calibrator to take when one does not want to choose: a mixture of bounded ones, and a guard that keeps raw."""

from __future__ import annotations

from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit
from sklearn.base import clone

from abstain.calibration.base import BaseCalibrator
from abstain.calibration.binary import Affine, Beta, Quadratic
from abstain.calibration.labelled import check_calibrator
from abstain.calibration.scaling import MatrixScaling, VectorScaling
from abstain.calibration.temperature import EnsembleTemperature
from abstain.calibration.venn_abers import VennAbers
from abstain.folds import Folds, held_out, make_folds
from abstain.solvers.mixture import fit_mixture
from abstain.utils.annotations import Seed
from abstain.utils.borders import check_seed
from abstain.utils.html import html_text
from abstain.utils.validation import check_choice

GUARDS = ("likelihood_ratio", "one_standard_error", None)
# what one standard error is among likelihood ratios: one in 0.16, in nats
_EVIDENCE = 1.83
_LITTLE = 0.05  # share of the mixture that is not worth another map
# as scikit-learn's log_loss has it: what a probability of zero costs
_SMALLEST = 2.0**-52
_FEW = 500  # samples below which Venn-Abers is tried
_NEEDED = 1e-3  # share of a mixture below which a member is left out


class Unchanged(BaseCalibrator):
    """The outputs as they came.

    Parameters
    ----------
    {shared}
    """

    keeps_answer = True

    def _learn(self, labelled):
        pass

    def _map(self, outputs):
        return outputs.log_proba


class MemberLine(NamedTuple):
    """What one member gained on held-out samples, and its share of the mixture."""

    name: str
    log_loss: float
    brier: float
    gain: float  # log-loss of the outputs as they came less its own; positive is better
    error: float  # paired standard error of the gain
    weight: float

    def __str__(self):
        low, high = self.gain - 1.96 * self.error, self.gain + 1.96 * self.error
        interval = f"[{low:+.4f}, {high:+.4f}]"
        losses = f"{self.log_loss:>10.4f}{self.brier:>9.4f}{self.gain:>+9.4f}"
        return f"{self.name:<22}{losses}{interval:>20}{self.weight:>8.2f}"

    def _repr_html_(self):
        return html_text(self)


class AutoReport(NamedTuple):
    """Held-out losses of all members and of their mixture, whose weights are held out as well, and what was chosen."""

    n: int
    members: tuple
    mixture: MemberLine
    chosen: str  # "mixture", or "unchanged" where the guard kept the outputs as they came
    share: float = 1.0  # of the mixture, the rest being the outputs as they came

    def __str__(self):
        head = f"{'held out':<22}{'log-loss':>10}{'Brier':>9}{'gain':>9}{'95 % interval':>20}{'weight':>8}"
        chosen = f"chosen: {self.chosen}" + (f", by {self.share:.2f}" if 0 < self.share < 0.995 else "")
        lines = [f"{self.n} samples", head, *map(str, self.members), str(self.mixture), chosen]
        return "\n".join(lines)

    def _repr_html_(self):
        return html_text(self)


class AutoCalibrator(BaseCalibrator):
    r"""A mixture of calibrators, by their log-loss on samples that they have not seen, which rarely hurts.

    Parameters
    ----------
    {shared}
    members : list of calibrators, default=None
        What to mix beside the outputs as they came. None is `EnsembleTemperature`, `VectorScaling` and `MatrixScaling`;
        with two classes `EnsembleTemperature`, `Affine`, `Beta`, `Quadratic`, and of fewer than 500 samples
        `VennAbers`; temperatures with ``temperature_l2=1``.
    guard : {"likelihood_ratio", "one_standard_error", None}, default="likelihood_ratio"
        How far the mixture replaces the outputs as they came, judged with weights that are held out, too: by half where
        held-out labels are six times as likely under it, which is rare (one in six) if the outputs are true, and by
        more or less as they say more or less; wholly where its gain is above its paired standard error, which takes
        longer to show where errors are few, and else not; or always.

    Attributes
    ----------
    weights_ : dict
        Share of each member, by name.
    members_ : dict
        Members in use, fitted on all samples, by name.
    report_ : AutoReport
        Held-out losses of members and mixture; print it.
    accuracy_change_ : float
        What the map does to the accuracy on the samples of `fit`.
    classes_ : ndarray of shape (n_classes,)
        Labels.
    n_features_in_ : int
        Columns of the data.

    Notes
    -----
    :math:`q = \sum_m w_m q_m`, with weights on the simplex of greatest held-out likelihood: no scale or member is
    chosen, so that little is lost to the choice. The guard is Bayes' rule for two models, the outputs as they came and
    the mixture, with prior odds of 6.2 to one: the mixture's share is its posterior probability, and none below 0.05 or
    where it gains nothing.
    Folds are by ``cv`` where it is a number, else five, and by ``groups``.

    References
    ----------
    The linear pool of Mix-n-Match (ICML 2020) with the members of Berta et al. (AISTATS 2026); the guard is ours.

    Examples
    --------
    >>> import numpy as np
    >>> from abstain.calibration import AutoCalibrator
    >>> rng = np.random.default_rng(0)
    >>> logits = rng.normal(size=(2000, 4))
    >>> y = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    >>> AutoCalibrator(random_state=0).fit(3 * logits, y).report_.share > 0.99
    True
    >>> AutoCalibrator(random_state=0).fit(logits, y).report_.share < 0.5
    True
    """

    def __init__(
        self, estimator: Any = None, *, kind: str | None = None, cv: Any = 5, n_jobs: int | None = None,
        random_state: Seed = None, members: list | None = None, guard: str | None = "likelihood_ratio",
    ) -> None:  # fmt: skip
        super().__init__(estimator, kind=kind, cv=cv, n_jobs=n_jobs, random_state=random_state)
        self.members = members
        self.guard = guard

    @property
    def keeps_answer(self) -> bool:
        """Whether answers stay: where all members in use keep them."""
        return getattr(self, "keeps_answer_", False)

    def _check_parameters(self):
        super()._check_parameters()
        check_choice(self.guard, "guard", GUARDS)
        if self.members is not None and not (isinstance(self.members, list | tuple) and self.members):
            raise TypeError(f"members must be a list of calibrators, or None; got {self.members!r}.")
        for member in self.members or ():
            check_calibrator(member, "each of members")

    def _learn(self, labelled):
        candidates = self._candidates(len(labelled.outputs.classes), len(labelled.codes))
        fitted = {name: clone(member).fit_labelled(labelled) for name, member in candidates.items()}
        held = self._held_out(fitted, labelled)
        shares = fit_mixture(held.likelihood, labelled.weight)
        by_fold = held.mixture_held_out(labelled.weight)
        names = list(candidates)
        lines = [
            _line(name, held.losses(share), held.losses(held.alone(0)), labelled, weight)
            for name, share, weight in zip(names, map(held.alone, range(len(names))), shares, strict=True)
        ]
        mixture = _line("mixture", held.losses(by_fold), held.losses(held.alone(0)), labelled, shares.sum())
        share = self._share(mixture, labelled)
        chosen = "mixture" if share else "unchanged"
        self.report_ = AutoReport(len(labelled.codes), tuple(lines), mixture, chosen, share)
        self._keep(fitted, share * shares + (1.0 - share) * held.alone(0))

    def _candidates(self, n_classes, n):
        given = self.members
        if given is None:
            given = [EnsembleTemperature(temperature_l2=1.0)]
            if n_classes == 2:
                given += [Affine(), Beta(), Quadratic()] + [VennAbers()] * (n < _FEW)
            else:
                given += [VectorScaling(temperature_l2=1.0), MatrixScaling(temperature_l2=1.0)]
        names = [type(member).__name__ for member in given]
        numbered = [name if names.count(name) == 1 else f"{name} {i}" for i, name in enumerate(names, start=1)]
        return {"Unchanged": Unchanged()} | dict(zip(numbered, given, strict=True))

    def _held_out(self, fitted, labelled):
        """What each candidate gives to samples that it has not seen."""

        def fit(train):
            part = labelled[train]
            return [member.refit_labelled(part) for member in fitted.values()]

        def predict(members, test):
            part = labelled[test]
            proba = [member.transform_outputs(part.outputs).proba for member in members]
            own = np.stack([p[np.arange(len(test)), part.codes] for p in proba], axis=1)
            gram = np.stack([[np.einsum("ij,ij->i", p, q) for q in proba] for p in proba])
            return own, gram.transpose(2, 0, 1)

        folds = self._folds(labelled)
        likelihood, gram = held_out(folds, fit, predict, n_jobs=self.n_jobs)
        return _HeldOut(likelihood, gram, folds)

    def _share(self, mixture, labelled):
        """How much of the mixture the guard lets through."""
        if self.guard is None:
            return 1.0
        if self.guard == "one_standard_error":
            return float(mixture.gain > mixture.error)
        posterior = float(expit(mixture.gain * labelled.size - _EVIDENCE))
        return posterior if mixture.gain > 0 and posterior >= _LITTLE else 0.0

    def _folds(self, labelled):
        n_splits = self.cv if isinstance(self.cv, Integral) else 5
        seed = check_seed(self.random_state).randint(2**31)
        strata = labelled.codes
        if np.bincount(strata).max() < 2:  # a class each, as with a thousand classes and few samples
            strata = np.zeros_like(strata)
        return make_folds(n_splits, labelled.codes, strata, groups=labelled.groups, seed=seed)

    def _keep(self, fitted, shares):
        needed = shares >= _NEEDED
        shares = shares[needed] / shares[needed].sum()
        names = [name for name, need in zip(fitted, needed, strict=True) if need]
        self.weights_ = dict(zip(names, shares.tolist(), strict=True))
        self.members_ = {name: fitted[name] for name in names}
        self.keeps_answer_ = all(member.keeps_answer for member in self.members_.values())

    def _map(self, outputs):
        parts = (member.transform_outputs(outputs).log_proba for member in self.members_.values())
        return np.logaddexp.reduce([part + np.log(w) for part, w in zip(parts, self.weights_.values(), strict=True)])


class _HeldOut(NamedTuple):
    """Of n samples and m members, each by a fit that has not seen the sample."""

    likelihood: np.ndarray  # (n, m), of the true class
    gram: np.ndarray  # (n, m, m), products of the rows of probabilities
    folds: Folds

    def alone(self, i):
        """Shares of one member alone, (m,)."""
        return np.eye(self.likelihood.shape[1])[i]

    def mixture_held_out(self, weight):
        """Shares by which each sample is mixed, learnt on other folds, (n, m)."""
        m = self.likelihood.shape[1]

        def fit(train):
            # a fold without the one error of all leaves nothing to what that error needs
            return (len(train) * fit_mixture(self.likelihood[train], weight[train]) + 1.0 / m) / (len(train) + 1.0)

        return held_out(self.folds, fit, lambda shares, test: np.tile(shares, (len(test), 1)))

    def losses(self, shares):
        """Log-loss and Brier score of each sample under shares (m,) or (n, m)."""
        shares = np.broadcast_to(shares, self.likelihood.shape)
        own = np.einsum("ij,ij->i", self.likelihood, shares)
        brier = np.einsum("ij,ijk,ik->i", shares, self.gram, shares) + 1.0 - 2.0 * own
        return -np.log(np.maximum(own, _SMALLEST)), brier


def _line(name, losses, raw, labelled, weight):
    gains, share = raw[0] - losses[0], labelled.weight / labelled.weight.sum()
    gain = float(share @ gains)
    error = float(np.sqrt(share @ (gains - gain) ** 2 / max(labelled.size - 1.0, 1.0)))
    return MemberLine(name, float(share @ losses[0]), float(share @ losses[1]), gain, error, float(weight))

"""What every calibrator is: a map from outputs to outputs, learnt from labels; and a classifier around an estimator."""

from __future__ import annotations

import inspect
import textwrap
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from abstain.asking.ask import RESPONSES, ask, input_tags, known_classes, said
from abstain.asking.cross_fit import Question, cross_fit
from abstain.asking.routing import routed, router
from abstain.calibration.labelled import Labelled, accuracy_change, by_argmax_of, codes_among
from abstain.outputs import KINDS, ClassOutputs
from abstain.utils.annotations import Seed
from abstain.utils.borders import check_data, check_seed, label_column
from abstain.utils.fitting import unchanged_on_failure
from abstain.utils.labels import classes_of_columns, label_codes
from abstain.utils.validation import (
    as_array,
    check_choice,
    check_codes,
    check_groups,
    check_jobs,
    check_mask,
    check_weight,
    row_blocks,
)

# numbers by which a change of accuracy is reported: of all samples, but for very many or of very many classes
_COMPARED = 1_000_000

_RESPONSE = {kind: response for response, kind in RESPONSES.items()}


@contextmanager
def _in_own_words():
    """Say of errors about the way an estimator is asked what a calibrator calls it."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if "response_method" in str(error):
            error.add_note('Here response_method="decision_function" is kind="logits", and the other is kind="proba".')
        raise


def on_outputs(calibrator):
    """Whether a calibrator is given outputs, and not data of an estimator."""
    return calibrator.estimator is None


class BaseCalibrator(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """Base of all calibrators.

    A subclass writes ``_learn(labelled)``, and ``_map(outputs)``, which returns log-probabilities, (n, n_classes). It
    says by ``keeps_answer`` whether the answer of the classifier stays the likeliest class.

    Parameters
    ----------
    estimator : classifier, default=None
        The classifier to calibrate: a `FrozenEstimator` is used as it is, and the data of `fit` as data that it has not
        seen; anything else is cross-fitted and refitted. None: the data are outputs themselves, logits or
        probabilities that were saved.
    kind : {"logits", "proba"}, default=None
        What the data are, or what the estimator is asked for: logits (``decision_function``) or probabilities
        (``predict_proba``). None is logits for data, and probabilities of an estimator.
    cv : int, splitter or iterable, default=5
        Folds of cross-fitting.
    n_jobs : int, default=None
        Folds fitted at once.
    random_state : int, RandomState or None, default=None
        Seed of the folds.
    """

    keeps_answer = False

    def __init_subclass__(cls, **kwargs):
        """Write the parameters that all calibrators share into the docstring, where it asks for them."""
        super().__init_subclass__(**kwargs)
        shared = (inspect.getdoc(BaseCalibrator) or "").partition("----------\n")[2]
        cls.__doc__ = (cls.__doc__ or "").replace("{shared}", textwrap.indent(shared, "    ").strip())

    def __init__(
        self, estimator: Any = None, *, kind: str | None = None, cv: Any = 5, n_jobs: int | None = None,
        random_state: Seed = None,
    ) -> None:  # fmt: skip
        self.estimator = estimator
        self.kind = kind
        self.cv = cv
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, X: Any, y: ArrayLike, **params: Any) -> Self:
        """Learn the map.

        Parameters
        ----------
        X : array-like of shape (n, n_classes), ClassOutputs, or data of the estimator
            Outputs that were saved; or data, where there is an estimator.
        y : array-like of shape (n,)
            Labels. For saved outputs they are the numbers of columns, or have a value for each column, in their order.
            Classes may be missing.
        **params : dict
            ``sample_weight`` of shape (n,), of which only ratios matter; ``groups`` of shape (n,), which no fold
            divides where the splitter takes them. Where there is an estimator they go to its `fit` and to the splitter,
            too; scikit-learn's metadata routing applies where it is on.

        Returns
        -------
        self : object
            Fitted.

        Raises
        ------
        ValueError
            If outputs are not what ``kind`` says, or labels are unknown.
        """
        with unchanged_on_failure(self):
            return self._fit(X, y, params)

    def _fit(self, X, y, params):
        self._check_parameters()
        y = label_column(y)
        own = {name: params.get(name) for name in ("sample_weight", "groups", "held_out")}
        params = {name: value for name, value in params.items() if name != "held_out"}
        if self.estimator is None:
            strange = sorted(set(params) - set(own))
            if strange:
                raise TypeError(f"fit got unexpected parameters {strange}: saved outputs take {sorted(own)}.")
            outputs = self._given(X, y)
            if len(y) != len(outputs):
                raise ValueError(f"y must hold a label for each of the {len(outputs)} rows of X; got {len(y)}.")
            return self.fit_outputs(outputs, codes_among(y, outputs.classes), **own)
        self._refuse_outputs(X)
        X = check_data(self, X, reset=True)
        check_consistent_length(X, y)
        split_by, fit_params = routed(self, params)
        known = known_classes(self.estimator)
        classes = label_codes(y)[0] if known is None else known
        codes = codes_among(y, classes)
        seed = check_seed(self.random_state).randint(2**31)
        question = Question(self._response(), classes, self.cv, seed, self.n_jobs, split_by, fit_params)
        with _in_own_words():
            fit = cross_fit(self.estimator, X, y, codes, question)
        self.estimator_ = fit.estimator
        own = {name: None if part is None else np.asarray(part)[fit.rows] for name, part in own.items()}
        return self._fit_outputs(fit.outputs, codes[fit.rows], fit.by_argmax, **own)

    def _given(self, X, y=None, *, reset=None):
        """Outputs that were saved; their classes are told by labels, and known afterwards."""
        if isinstance(X, ClassOutputs):
            return X
        values = as_array(X, "X")
        if values.ndim != 2 or values.shape[1] < 2:
            raise ValueError(f"X must have shape (n, n_classes), a column for each class; got shape {values.shape}.")
        reset = y is not None if reset is None else reset
        validate_data(self, X if hasattr(X, "columns") else values, reset=reset, skip_check_array=True)
        classes = self.classes_ if y is None else classes_of_columns(values.shape[1], y)
        return ClassOutputs(X, self.kind or "logits", classes, name="X", remedy='pass kind="logits"')

    def _refuse_outputs(self, X):
        if isinstance(X, ClassOutputs):
            raise TypeError("X must be data of the estimator; got ClassOutputs, which are calibrated without one.")

    def fit_outputs(
        self, outputs: ClassOutputs, codes: np.ndarray, *, sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None, held_out: ArrayLike | None = None,
    ) -> Self:  # fmt: skip
        """Learn the map from outputs that are checked already.

        Parameters
        ----------
        outputs : ClassOutputs
            Of n samples.
        codes : ndarray of shape (n,)
            Indices of the true classes.
        sample_weight : array-like of shape (n,), default=None
            Weights.
        groups : array-like of shape (n,), default=None
            Groups, for calibrators that know what to do with them.
        held_out : array-like of shape (n,) of bool, default=None
            Which samples the classifier has not seen, for calibrators that also learn from others.

        Returns
        -------
        self : object
            Fitted.
        """
        with unchanged_on_failure(self):
            self._check_parameters()
            codes = check_codes(codes, "codes", len(outputs), len(outputs.classes))
            return self._fit_outputs(outputs, codes, by_argmax_of(outputs), sample_weight, groups, held_out)

    def fit_labelled(self, labelled: Labelled) -> Self:
        """Learn the map from outputs with their labels, for calibrators that are made of others.

        Parameters
        ----------
        labelled : Labelled
            Checked already.

        Returns
        -------
        self : object
            Fitted.
        """
        return self._fit_labelled(labelled, None)

    def refit_labelled(self, labelled: Labelled) -> Self:
        """Learn the map anew, from where it is: for fits to parts of the samples, which end where any start leads.

        Parameters
        ----------
        labelled : Labelled
            Checked already.

        Returns
        -------
        self : object
            A copy, fitted; this one stays as it is.
        """
        return clone(self)._fit_labelled(labelled, self)

    def _fit_labelled(self, labelled, start):
        self.answers_by_argmax_ = by_argmax_of(labelled.outputs)
        self.classes_, self.rounding_ = labelled.outputs.classes, labelled.outputs.rounding
        self._learn_from(labelled, start)
        return self

    def _learn_from(self, labelled, start):
        """Learn the map; solvers that walk begin where ``start`` ended, a fitted calibrator like this one, or None."""
        self._learn(labelled)

    def _fit_outputs(self, outputs, codes, by_argmax, sample_weight=None, groups=None, held_out=None):
        n = len(outputs)
        weight = np.ones(n) if sample_weight is None else check_weight(sample_weight, n)
        groups = None if groups is None else check_groups(groups, n)
        held_out = None if held_out is None else check_mask(held_out, n, "held_out")
        labelled = Labelled(outputs, codes, weight, groups, held_out)
        labelled = labelled if weight.all() else labelled[weight > 0]
        self.fit_labelled(labelled)
        self.answers_by_argmax_ = by_argmax
        if not self.keeps_answer:
            last, most = len(labelled.codes) - 1, max(1, _COMPARED // len(self.classes_))
            some = labelled[np.unique(np.linspace(0, last, min(last + 1, most)).astype(int))]
            self.accuracy_change_ = accuracy_change(some, self.transform_outputs(some.outputs).answer)
        return self

    def transform_outputs(self, outputs: ClassOutputs) -> ClassOutputs:
        """Calibrate outputs.

        Parameters
        ----------
        outputs : ClassOutputs
            As in `fit`.

        Returns
        -------
        outputs : ClassOutputs
            Log-probabilities as logits. Answers are those of the largest probability; those that came, where the map
            keeps them, or where the classifier did not answer its largest output in the first place.
        """
        self._check_classes(outputs)
        log_proba = np.empty(outputs.values.shape)
        # of all rows at once it would take several times their memory
        for rows in row_blocks(len(outputs), len(outputs.classes)):
            log_proba[rows] = self._map(outputs[rows])
        mapped = ClassOutputs(log_proba, "logits", self.classes_, rounding=outputs.rounding)
        if self.keeps_answer or not self.answers_by_argmax_:
            mapped.answer = outputs.answer
        else:  # an answer that is not the largest output is that of a rule, whatever `fit` has seen of it
            mapped.answer = np.where(outputs.values.argmax(axis=1) == outputs.answer, mapped.answer, outputs.answer)
        return mapped

    def _check_classes(self, outputs):
        check_is_fitted(self)
        if not np.array_equal(outputs.classes, self.classes_):
            raise ValueError(
                f"X has the classes {outputs.classes[:5].tolist()}, {len(outputs.classes)} of them, but "
                f"{type(self).__name__} was fitted on {self.classes_[:5].tolist()}, {len(self.classes_)}: pass the "
                "same columns in the same order."
            )

    @available_if(on_outputs)
    def transform(self, X: Any) -> Any:
        """Calibrate saved outputs; there where there is no estimator.

        Parameters
        ----------
        X : array-like of shape (n, n_classes) or ClassOutputs
            As in `fit`.

        Returns
        -------
        outputs : ndarray of shape (n, n_classes) or ClassOutputs
            What came, calibrated: logits (logarithms of probabilities) for logits, and probabilities for probabilities.
        """
        mapped = self.transform_outputs(self._heard(X))
        if isinstance(X, ClassOutputs):
            return mapped
        return mapped.proba if self.kind == "proba" else mapped.logits

    def predict_proba(self, X: Any) -> np.ndarray:
        """Calibrated class probabilities.

        Parameters
        ----------
        X : array-like of shape (n, n_classes), ClassOutputs, or data of the estimator
            As in `fit`.

        Returns
        -------
        proba : ndarray of shape (n, n_classes)
            Columns in the order of ``classes_``.
        """
        return self._calibrated(X).proba

    def decision_function(self, X: Any) -> np.ndarray:
        """Calibrated log-probabilities, which do not saturate.

        Parameters
        ----------
        X : array-like of shape (n, n_classes), ClassOutputs, or data of the estimator
            As in `fit`.

        Returns
        -------
        logits : ndarray of shape (n, n_classes), or (n,) with two classes
            Columns in the order of ``classes_``; with two classes the log-odds of the second.
        """
        logits = self._calibrated(X).logits
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict(self, X: Any) -> np.ndarray:
        """Answer every sample.

        Parameters
        ----------
        X : array-like of shape (n, n_classes), ClassOutputs, or data of the estimator
            As in `fit`.

        Returns
        -------
        labels : ndarray of shape (n,)
            The answer of the classifier where the map keeps it, else the class of largest probability.
        """
        answer = self._calibrated(X).answer
        return self.classes_[answer]

    def _calibrated(self, X):
        check_is_fitted(self)
        return self.transform_outputs(self._heard(X))

    def _heard(self, X):
        """Outputs of the estimator, or those that are given."""
        check_is_fitted(self)
        if self.estimator is None:
            return self._given(X)
        self._refuse_outputs(X)
        X, response = check_data(self, X, reset=False), self._response()
        heard = ask(self.estimator_, X, response, self.classes_, self.answers_by_argmax_)
        return said(self.estimator_, heard, response, self.classes_)

    def _response(self):
        return _RESPONSE[self.kind or "proba"]

    def _check_parameters(self):
        estimator: Any = self.estimator
        if estimator is not None and (isinstance(estimator, type) or not hasattr(estimator, "fit")):
            raise TypeError(f"estimator must be a classifier, or None for saved outputs; got {estimator!r}.")
        check_choice(self.kind, "kind", (*KINDS, None))
        check_jobs(self.n_jobs)

    def get_metadata_routing(self) -> Any:
        """Say which part is given which parameter of `fit`.

        Returns
        -------
        routing : MetadataRouter
            As scikit-learn's metadata routing asks for.
        """
        return router(self, self.estimator, self.cv)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        if self.estimator is not None and not isinstance(self.estimator, type):
            inner = input_tags(self.estimator)
            tags.input_tags.allow_nan, tags.input_tags.sparse = inner.allow_nan, inner.sparse
        return tags

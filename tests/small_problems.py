"""Small data and classifiers that the tests share."""

import warnings

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from abstain.warnings import AbstainWarning


def overlapping(n=300, n_classes=2, n_features=4, seed=0, gap=1.2):
    """Draw features and integer labels of overlapping classes, so that there are errors."""
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % n_classes
    return rng.normal(size=(n, n_features)) + gap * np.eye(n_classes, n_features)[codes], codes


def unbalanced(n=600, seed=0):
    """Draw a binary problem where one label in ten is 1."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.1).astype(int)
    return rng.normal(size=(n, 3)) + 1.3 * y[:, None], y


def quiet(function, *args, **kwargs):
    """Call a function without the warnings of the library."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AbstainWarning)
        return function(*args, **kwargs)


def attempt(function, *args, **kwargs):
    """Call a function; return its value and no message, or no value and the message of its refusal."""
    try:
        return quiet(function, *args, **kwargs), ""
    except ValueError as error:
        return None, str(error)


class Costly(ClassifierMixin, BaseEstimator):
    """Logistic regression that answers with the class of least expected cost, not with the most probable one."""

    def __init__(self, cost=8.0):
        self.cost = cost

    def fit(self, X, y):
        self.model_ = LogisticRegression().fit(X, y)
        self.classes_ = self.model_.classes_
        return self

    def predict_proba(self, X):
        return self.model_.predict_proba(X)

    def decision_function(self, X):
        return self.model_.decision_function(X)

    def predict(self, X):
        cost = 1.0 - np.eye(len(self.classes_))
        cost[-1] *= self.cost  # missing the last class is expensive
        return self.classes_[(self.predict_proba(X) @ cost).argmin(axis=1)]


class Median(Costly):
    """Logistic regression on ordered classes that answers with the median of their distribution."""

    def predict(self, X):
        return self.classes_[(self.predict_proba(X).cumsum(axis=1) < 0.5).sum(axis=1)]


class Given(ClassifierMixin, BaseEstimator):
    """Classifier whose outputs are the features themselves, cast to a dtype; fitted at birth."""

    def __init__(self, dtype="float64", classes=None):
        self.dtype = dtype
        self.classes = classes

    def fit(self, X, y):
        self.classes_ = np.unique(y) if self.classes is None else np.asarray(self.classes)
        return self

    def predict_proba(self, X):
        return np.asarray(X).astype(self.dtype)

    def decision_function(self, X):
        return np.asarray(X).astype(self.dtype)

    def predict(self, X):
        return self.classes_[np.asarray(X).argmax(axis=1)]


class Sampler(BaseEstimator):
    """Drop every third row of a training set; it has no transform, as the samplers of imbalanced-learn."""

    def fit_resample(self, X, y):
        keep = np.arange(len(y)) % 3 > 0
        return np.asarray(X)[keep], np.asarray(y)[keep]

    def fit(self, X, y):
        return self


class SamplerPipeline(Pipeline):
    """Pipeline that resamples in fit and leaves samplers out elsewhere, as that of imbalanced-learn."""

    def _validate_steps(self):
        pass

    def fit(self, X, y):
        for _, step in self.steps[:-1]:
            if hasattr(step, "fit_resample"):
                X, y = step.fit_resample(X, y)
            elif step not in (None, "passthrough"):
                X = step.fit(X, y).transform(X)
        self.steps[-1][1].fit(X, y)
        return self

    def _before(self, X):
        for _, step in self.steps[:-1]:
            if hasattr(step, "transform"):
                X = step.transform(X)
        return X

    def predict(self, X):
        return self.steps[-1][1].predict(self._before(X))

    def predict_proba(self, X):
        return self.steps[-1][1].predict_proba(self._before(X))

    def score_samples(self, X):
        return self.steps[-1][1].score_samples(self._before(X))

    @property
    def classes_(self):
        return self.steps[-1][1].classes_


class Nothing(TransformerMixin, BaseEstimator):
    """Transformer that changes nothing and looks at nothing."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X

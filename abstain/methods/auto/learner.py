"""P(correct) from columns whose safe direction is known."""

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

_RIDGE = 1.0  # for columns of unit scale
_CLASS_RIDGE = 5.0


class MonotoneLogistic:
    """Logistic regression in which what is safer by itself never lowers trust, with an offset for each class.

    Parameters
    ----------
    rising : ndarray of shape (m,) of bool
        Columns whose weight may not be negative.
    n_classes : int
        Number of classes.
    """

    def __init__(self, rising, n_classes):
        self.rising, self.n_classes = rising, n_classes

    def fit(self, columns, answer, correct, weight):
        """Learn.

        Parameters
        ----------
        columns : ndarray of shape (n, m)
            Evidence.
        answer : ndarray of shape (n,)
            Index of the predicted class.
        correct : ndarray of shape (n,) of bool
            Whether it is right.
        weight : ndarray of shape (n,)
            Weights of the samples.

        Returns
        -------
        self : object
            Fitted.
        """
        m, k = len(self.rising), self.n_classes
        centre = np.average(columns, axis=0, weights=weight)
        scale = np.sqrt(np.average(np.square(columns - centre), axis=0, weights=weight))
        scale = np.where(scale > 1e-9, scale, 1.0)
        scaled, target = (columns - centre) / scale, correct.astype(np.float64)

        def objective(unknowns):
            slopes, offsets = unknowns[:m], unknowns[m + 1 :]
            odds = scaled @ slopes + unknowns[m] + offsets[answer]
            rest = weight * (expit(odds) - target)
            loss = weight @ (np.logaddexp(0, odds) - target * odds)
            penalty = 0.5 * (_RIDGE * slopes @ slopes + _CLASS_RIDGE * offsets @ offsets)
            by_class = np.bincount(answer, rest, k) + _CLASS_RIDGE * offsets
            return loss + penalty, np.concatenate([rest @ scaled + _RIDGE * slopes, [rest.sum()], by_class])

        bounds = [(0, None) if safe else (None, None) for safe in self.rising] + [(None, None)] * (1 + k)
        found = minimize(objective, np.zeros(m + 1 + k), jac=True, method="L-BFGS-B", bounds=bounds).x
        self.weights_, self.offsets_ = found[:m] / scale, found[m + 1 :]
        self.intercept_ = float(found[m] - centre @ self.weights_)
        return self

    def log_odds(self, columns, answer):
        """Log-odds of being right, (n,)."""
        return columns @ self.weights_ + self.intercept_ + self.offsets_[answer]

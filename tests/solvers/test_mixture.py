"""Shares of a mixture are those under which the labels are likeliest, whoever agrees with whom."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abstain.solvers.mixture import fit_mixture


@given(
    st.integers(1, 60), st.integers(1, 8), st.sampled_from([0.1, 1.0, 5.0, 40.0]), st.booleans(), st.integers(0, 10**6)
)
def test_no_member_would_gain_by_a_larger_share(n, m, power, twins, seed):
    """The conditions of the optimum: the mean ratio of a member to the mixture is 1 where it has a share, else less."""
    rng = np.random.default_rng(seed)
    likelihood, weight = rng.uniform(size=(n, m)) ** power, rng.uniform(0.1, 1.0, size=n)
    if twins:
        likelihood[:, -1] = likelihood[:, 0]
    shares = fit_mixture(likelihood, weight)
    assert shares.sum() == pytest.approx(1)
    assert (shares >= 0).all()
    ratio = weight / weight.sum() @ (likelihood / (likelihood @ shares)[:, None])
    assert ratio.max() <= 1 + 1e-4
    assert shares @ ratio == pytest.approx(1)


def test_a_likelihood_next_to_nothing_is_no_reason_to_stop_or_to_break():
    """One miss by a member that is right else; at the optimum the other has a share that is worth it."""
    for miss in (1e-100, 1e-160, 1e-300, 0.0):
        likelihood = np.tile([1.0, 0.5], (1001, 1))
        likelihood[-1] = miss, 0.5
        np.testing.assert_allclose(fit_mixture(likelihood), [0.998, 0.002], atol=1e-4)
        for weight in (1e-2, 1e-6):
            assert np.isfinite(fit_mixture(likelihood, np.append(np.ones(1000), weight))).all()


def test_samples_that_nobody_holds_possible_or_that_weigh_nothing_say_nothing():
    likelihood = np.array([[0.9, 0.1], [0.0, 0.0], [0.2, 0.8], [0.1, 0.9]])
    rest = fit_mixture(likelihood[[0, 2]])
    np.testing.assert_allclose(fit_mixture(likelihood, np.array([1.0, 1.0, 1.0, 0.0])), rest, atol=1e-6)
    np.testing.assert_allclose(fit_mixture(np.zeros((3, 4))), 0.25)


def test_the_best_of_members_that_are_never_right_alone_is_found():
    likelihood = np.array([[1.0, 0.0, 0.3], [0.0, 1.0, 0.3], [1.0, 0.0, 0.3], [0.0, 1.0, 0.3]])
    np.testing.assert_allclose(fit_mixture(likelihood), [0.5, 0.5, 0.0], atol=1e-6)

"""What a threshold and its certificate are."""

import warnings

import numpy as np
from sklearn.base import clone

from abstain.policies import FixedThreshold
from abstain.warnings import AbstainWarning


def policy_checks() -> list:
    """Return the checks of a policy."""
    return [value for name, value in globals().items() if name.startswith("check_policy_")]


def _held_out(n=400, random_state=0):
    rng = np.random.RandomState(random_state)
    score = rng.uniform(size=n)
    return score, rng.uniform(size=n) < 0.6 + 0.4 * score


def _quiet_fit(policy, *arrays, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AbstainWarning)
        return clone(policy).fit(*arrays, **options)


def check_policy_certificate_counts(policy):
    """The certificate counts what the threshold accepts."""
    score, correct = _held_out()
    fitted = _quiet_fit(policy, score, correct)
    accepted = fitted.accept(score)
    np.testing.assert_array_equal(accepted, score >= fitted.threshold_)
    certificate = fitted.certificate_
    assert (certificate.n, certificate.accepted) == (score.size, accepted.sum())
    assert certificate.errors == (accepted & ~correct).sum()
    assert certificate.disjoint is None
    assert _quiet_fit(policy, score, correct, disjoint=True).certificate_.disjoint is True


def check_policy_does_not_depend_on_order_or_scale(policy):
    """Row order does not matter; and for all but a fixed threshold only the order of scores does."""
    score, correct = _held_out()
    score = np.round(score, 2)
    accepted = _quiet_fit(policy, score, correct).accept(score)
    order = np.random.RandomState(1).permutation(score.size)
    np.testing.assert_array_equal(_quiet_fit(policy, score[order], correct[order]).accept(score), accepted)
    if not isinstance(policy, FixedThreshold):
        transformed = np.exp(3 * score)
        np.testing.assert_array_equal(_quiet_fit(policy, transformed, correct).accept(transformed), accepted)


def check_policy_survives_degenerate_data(policy):
    """One sample, equal scores, all right, all wrong: a verdict for everyone, tied scores sharing one."""
    for n in (1, 50):
        for correct in (np.ones(n, dtype=bool), np.zeros(n, dtype=bool), np.arange(n) % 2 == 0):
            fitted = _quiet_fit(policy, np.full(n, 0.5), correct)
            assert len(set(fitted.accept(np.full(n, 0.5)).tolist())) == 1


def check_policy_refuses_bad_arrays(policy):
    """Empty, mismatched, non-finite or two-dimensional input raises and names the parameter."""
    good, correct = _held_out(20)
    cases = {
        "score": [(np.empty(0), np.empty(0)), (np.full(20, np.inf), correct), (good[:, None], correct)],
        "correct": [(good, correct[:-1]), (good, correct * 2.0), (good, correct[:, None])],
    }
    for name, arrays in cases.items():
        for pair in arrays:
            message = ""
            try:
                clone(policy).fit(*pair)
            except ValueError as error:
                message = str(error)
            assert name in message, f"{name} was taken as {[np.shape(a) for a in pair]}"

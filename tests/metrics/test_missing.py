"""Missing coverage: the shares add up, and each cause gets its own."""

import numpy as np
import pytest

from abstain.metrics import missing_coverage


def drawn(n=4000, accuracy=0.8, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random(n) < accuracy, rng


def shares(missing):
    return np.array([missing.labels, missing.classifier, missing.ranking, missing.calibration])


def test_shares_add_up_to_all_samples():
    correct, rng = drawn()
    score, suspect = rng.random(4000) + correct, rng.random(4000) < 0.1
    missing = missing_coverage(correct, score, score > 1.2, 0.05, suspect=suspect, n_resamples=20, random_state=0)
    assert missing.coverage + shares(missing).sum() == pytest.approx(1)
    for name, (low, high) in missing.intervals.items():
        assert low <= getattr(missing, name) <= high


def test_a_perfect_score_lacks_what_the_classifier_lacks():
    correct, _ = drawn(accuracy=0.7)
    missing = missing_coverage(correct, correct.astype(float), correct, 0.1, n_resamples=5, random_state=0)
    assert missing.classifier == pytest.approx(1 - correct.mean() / 0.9)
    # errors that the risk allows are one group of ties with all the others
    assert missing.ranking == pytest.approx(correct.mean() / 0.9 - correct.mean())
    assert missing.calibration == pytest.approx(0)
    assert missing.labels == 0


def test_suspect_labels_of_wrong_answers_are_taken_from_the_classifier():
    correct, rng = drawn(accuracy=0.6)
    score = rng.random(4000)
    suspect = ~correct & (rng.random(4000) < 0.5)
    plain, known = (
        missing_coverage(correct, score, score > 0.5, 0.1, suspect=given, n_resamples=5, random_state=0)
        for given in (None, suspect)
    )
    assert known.labels == pytest.approx(suspect.mean() / 0.9)
    assert known.classifier == pytest.approx(plain.classifier - known.labels)
    assert (known.ranking, known.calibration) == (plain.ranking, plain.calibration)


def test_a_better_ranking_and_a_bolder_threshold_move_their_own_shares():
    correct, rng = drawn(accuracy=0.9)
    good, bad = rng.random(4000) + 2 * correct, rng.random(4000) + 0.1 * correct
    strict, bold = good > 2.5, good > 1.0
    a, b, c = (
        missing_coverage(correct, *given, 0.05, n_resamples=5, random_state=0)
        for given in ((good, strict), (bad, strict), (good, bold))
    )
    assert b.ranking > a.ranking + 0.1
    assert c.calibration < a.calibration - 0.1
    assert a.classifier == b.classifier == c.classifier


def test_it_prints_every_cause():
    correct, rng = drawn(200)
    text = str(missing_coverage(correct, rng.random(200), correct, 0.1, n_resamples=5, random_state=0))
    assert [line.split()[0] for line in text.splitlines()[1:]] == ["labels", "classifier", "ranking", "calibration"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"risk": 0}, "risk"), ({"accepted": np.full(10, 2)}, "accepted must hold"), ({"suspect": [1]}, "suspect"),
        ({"correct": np.full(10, 0.3)}, "correct"), ({"n_resamples": 0}, "n_resamples"),
    ],
)  # fmt: skip
def test_bad_arguments_are_named(change, message):
    given = {
        "correct": np.arange(10) % 2,
        "score": np.arange(10.0),
        "accepted": np.arange(10) % 2,
        "risk": 0.1,
    } | change
    with pytest.raises(ValueError, match=message):
        missing_coverage(**given)

"""Folds that lack a class, or test what they train on, are told or refused (M1)."""

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, KFold, PredefinedSplit, ShuffleSplit, TimeSeriesSplit
from small_problems import overlapping, quiet

import abstain
from abstain.folds import Folds, make_folds
from abstain.warnings import RareClassWarning


def class_sorted(n=250, n_classes=5):
    X, y = overlapping(n, n_classes, n_features=6)
    order = np.argsort(y, kind="stable")
    return X[order], y[order]


SPLITTERS = {
    "folds in order": KFold(5),
    "few folds in order": KFold(3),
    "time": TimeSeriesSplit(3),
    "a list": list(KFold(5).split(np.zeros(250))),
    "masks": [(np.arange(250) % 250 >= 50, np.arange(250) < 50), (np.arange(250) < 200, np.arange(250) >= 200)],
    "predefined": PredefinedSplit(np.repeat(np.arange(5), 50)),
    "one split": [(np.arange(200), np.arange(200, 250))],
}
CLASSIFIERS = {
    "default": abstain.SelectiveClassifier(LogisticRegression()),
    "head": abstain.CorrectnessTrust(LogisticRegression(), random_state=0),
    "difficulty": abstain.DifficultyAwareClassifier(random_state=0),
}


def warned(fit, *args, **kwargs):
    with pytest.warns() as caught:
        fit(*args, **kwargs)
    return [str(w.message) for w in caught if issubclass(w.category, RareClassWarning)]


@pytest.mark.parametrize("name", SPLITTERS)
def test_training_folds_without_a_class_are_told(name):
    X, y = class_sorted()
    assert warned(abstain.SelectiveClassifier(LogisticRegression(), cv=SPLITTERS[name]).fit, X, y)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_method_tells(name):
    X, y = class_sorted()
    clf = CLASSIFIERS[name]
    assert warned(clf.set_params(cv=KFold(5)).fit, X, y)


def test_auto_trust_tells():
    X, y = class_sorted()
    assert warned(abstain.AutoTrust(LogisticRegression(), budget="fast", cv=KFold(5), random_state=0).fit, X, y)


def test_groups_that_are_classes_are_told():
    X, y = class_sorted()
    assert warned(abstain.SelectiveClassifier(LogisticRegression(), cv=GroupKFold(5)).fit, X, y, groups=y)


def test_a_rare_class_in_a_small_training_part_is_told():
    X, y = overlapping(200)
    y = np.where(np.arange(200) == 0, 2, y)
    splits = ShuffleSplit(3, train_size=0.4, random_state=1)
    lacking = any(2 not in y[train] for train, _ in splits.split(X))
    assert lacking
    assert warned(abstain.SelectiveClassifier(LogisticRegression(), cv=splits).fit, X, y)


@pytest.mark.filterwarnings("error::abstain.warnings.RareClassWarning")
def test_whole_folds_and_frozen_classifiers_are_silent():
    X, y = class_sorted()
    quiet_base = FrozenEstimator(LogisticRegression().fit(X, y))
    abstain.SelectiveClassifier(quiet_base, cv=KFold(5)).fit(X, y)
    abstain.SelectiveClassifier(LogisticRegression(), cv=KFold(5, shuffle=True, random_state=0)).fit(X, y)


EVERYTHING = np.arange(120)
LEAKS = {
    "all rows twice": [(EVERYTHING, EVERYTHING)],
    "a part of the training rows": [(EVERYTHING, np.arange(30))],
    "one row": [(np.arange(61), np.arange(60, 120)), (np.arange(60, 120), np.arange(60))],
    "masks": [(np.ones(120, bool), np.arange(120) < 50)],
    "the second fold": [(np.arange(60), np.arange(60, 120)), (EVERYTHING, np.arange(60))],
}


@pytest.mark.parametrize("frozen", [False, True], ids=["cross-fitted", "frozen"])
@pytest.mark.parametrize("name", LEAKS)
def test_folds_that_test_what_they_train_on_are_refused(name, frozen):
    X, y = overlapping(120)
    base = FrozenEstimator(LogisticRegression().fit(X, y)) if frozen else LogisticRegression()
    with pytest.raises(ValueError, match="cv"):
        quiet(abstain.SelectiveClassifier(base, abstain.SIRC(), cv=LEAKS[name]).fit, X, y)


def test_auto_trust_refuses_folds_that_test_what_they_train_on():
    X, y = overlapping(120)
    with pytest.raises(ValueError, match="cv"):
        quiet(abstain.AutoTrust(LogisticRegression(), budget="fast", cv=LEAKS["all rows twice"]).fit, X, y)


def in_time(n_splits, width=2):
    """Splits that learn from all rows before those that they hold out."""
    return [(np.arange(i * width), np.arange(width) + i * width) for i in range(1, n_splits + 1)]


def test_some_rows_keep_the_splits_that_hold_them():
    """Those of a split that hold one of the rows on each side, numbered by the rows; else nothing can be learnt."""
    folds = Folds(in_time(4), 10)
    rows = folds.tested
    np.testing.assert_array_equal(rows, np.arange(2, 10))
    some = folds.among(rows, np.zeros(8), 0)
    for (train, test), (before, after) in zip(some, folds.splits[1:], strict=True):
        np.testing.assert_array_equal(rows[train], before[2:])
        np.testing.assert_array_equal(rows[test], after)
    with pytest.raises(ValueError, match="cv gives 2 splits"):  # half of them are left, and no more
        Folds(in_time(2), 6).among(np.arange(2, 6), np.zeros(4), 0)


def test_the_last_split_that_holds_a_row_out_has_scored_it():
    folds = Folds([([0], [1, 2]), ([0], [2, 3]), ([0, 1], [])], 5)
    assert folds.scored_by.tolist() == [-1, 0, 1, 1, -1]
    assert folds.tested.tolist() == [1, 2, 3]


@pytest.mark.parametrize("bad", [[3, 12], [-1], [0.5], [[3, 4]], ["a"], [True, False]], ids=str)
def test_what_is_no_row_is_refused(bad):
    for split in ((bad, [1]), ([1], bad)):
        with pytest.raises(ValueError, match="cv must give indices of the 12 rows, or masks"):
            Folds([split], 12)


def test_groups_are_for_splitters_that_ask_for_them():
    """One that does not, and divides none, is welcome; it would warn of groups that it is given."""
    groups = np.repeat([0, 1], 6)
    assert len(make_folds(KFold(2), np.zeros((12, 1)), groups, groups=groups)) == 2
    with pytest.raises(ValueError, match="groups has 1 group"):
        make_folds(2, np.zeros((12, 1)), np.arange(12) % 2, groups=np.zeros(12))


@pytest.mark.parametrize("size", [2, 3, 4])
def test_classes_of_few_samples_stay_of_one_size_in_training_parts(size):
    """More folds than samples a class were worse: the class of a held-out row would be the smallest, and lose."""
    strata = np.repeat(np.arange(6), size)
    folds = make_folds(5, strata[:, None], strata)
    assert len(folds) == size
    for train, _ in folds:
        assert np.bincount(strata[train]).tolist() == [size - 1] * 6

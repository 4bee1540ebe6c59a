"""What new labels say of the threshold of a classifier."""

import pytest
from sklearn.linear_model import LogisticRegression
from small_problems import overlapping

import abstain

pytestmark = pytest.mark.filterwarnings("ignore::abstain.warnings.AbstainWarning")


def test_a_check_of_a_hierarchy_is_one_of_its_own_losses():
    X, y = overlapping(1500, n_classes=4)
    semantics = abstain.ClassSemantics.from_features(X[:500], y[:500])
    est = abstain.HierarchicalClassifier(LogisticRegression(), semantics, cv=2).fit(X[:500], y[:500])
    est.fit_policy(X[500:1000], y[500:1000], abstain.TargetRisk(0.35))
    told, given = est.check(X[500:1000], y[500:1000]), est.policy_.certificate_
    assert (told.accepted, told.errors, told.n, told.target) == (given.accepted, given.errors, given.n, 0.35)
    assert told.bound <= given.bound + 1e-9  # of one threshold, where that of fit pays for a search


def test_a_check_by_groups_leaves_the_policy_as_it_is():
    X, y = overlapping(1500)
    groups = X[:, 3] > 0
    est = abstain.SelectiveClassifier(LogisticRegression(), cv=2).fit(X[:500], y[:500])
    est.fit_policy(X[500:1000], y[500:1000], abstain.TargetRisk(0.3))
    before = est.policy_.certificate_
    told = est.check(X[1000:], y[1000:], groups=groups[1000:], delta=0.1)
    assert set(told.groups) == {False, True}
    assert told.accepted == est.accept(X[1000:]).sum()
    assert est.policy_.certificate_ is before

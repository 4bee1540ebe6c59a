"""Pictures of mistakes and of answers on a tree: what is drawn is what was said."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from abstain import HierarchicalClassifier, SelectiveClassifier
from abstain.metrics import MistakeDistanceDisplay
from abstain.semantics import AnswerTreeDisplay, ClassSemantics
from abstain.testing import overlapping_classes

pytest.importorskip("matplotlib", reason="needs matplotlib: pip install '.[plot]'").use("Agg")

LABELS = np.array(["cat", "dog", "emu"])
TREE = ClassSemantics.from_tree([("pet", "cat"), ("pet", "dog"), ("animal", "pet"), ("animal", "emu")])


@pytest.fixture(scope="module")
def data():
    return overlapping_classes(LABELS)


def test_bars_are_shares_of_all_samples():
    y, answers = ["cat"] * 6 + ["emu"] * 4, {"one": ["dog"] * 3 + ["cat"] * 3 + ["cat"] * 4, "other": ["cat"] * 10}
    ax = MistakeDistanceDisplay.from_predictions(y, answers, TREE).ax_
    heights = [[bar.get_height() for bar in bars] for bars in ax.containers]
    assert heights == [[0.3, 0.4], [0.0, 0.4]]  # at distances 2 and 3
    assert [text.get_text()[:5] for text in ax.get_legend().get_texts()] == ["one: ", "other"]


def test_many_distances_are_drawn_in_ranges():
    rng = np.random.default_rng(0)
    distance = rng.uniform(size=(20, 20))
    y, answer = rng.integers(20, size=(2, 500))
    ax = MistakeDistanceDisplay.from_predictions(y, answer, distance, bins=7).ax_
    assert len(ax.containers[0]) == 7
    assert sum(bar.get_height() for bar in ax.containers[0]) == pytest.approx((y != answer).mean())


def test_mistakes_of_an_estimator(data):
    model = SelectiveClassifier(LogisticRegression(), cv=2).fit(*data)
    ax = MistakeDistanceDisplay.from_estimator(model, *data, TREE).ax_
    wrong = (model.predict(data[0]) != data[1]).mean()
    assert sum(bar.get_height() for bar in ax.containers[0]) == pytest.approx(wrong)
    with pytest.raises(ValueError, match="answers hold no mistake"):
        MistakeDistanceDisplay.from_predictions(["cat"], ["cat"], TREE)


def test_nodes_are_drawn_with_their_probabilities_from_the_root_downwards():
    display = AnswerTreeDisplay.from_predictions([0.5, 0.01, 0.49], TREE, answer="pet", truth="emu")
    names = [text.get_text().strip() for text in display.ax_.texts]
    assert names == ["animal", "pet", "cat", "emu ✓"]  # what is improbable is left out
    widths = [bar.get_width() for bars in display.ax_.containers for bar in bars]
    np.testing.assert_allclose(widths, [1.0, 0.51, 0.5, 0.49])
    assert [text.get_weight() for text in display.ax_.texts] == ["normal", "bold", "normal", "normal"]
    everything = AnswerTreeDisplay.from_predictions([0.5, 0.01, 0.49], TREE, least=0.0)
    assert len(everything.ax_.texts) == 5


def test_the_answer_of_an_estimator_is_drawn(data):
    model = HierarchicalClassifier(LogisticRegression(), TREE, cv=2).fit(*data)
    for i in range(8):
        display = AnswerTreeDisplay.from_estimator(model, data[0][[i]], truth=data[1][i])
        bold = [text.get_text().strip(" ✓") for text in display.ax_.texts if text.get_weight() == "bold"]
        said = model.decide(data[0][[i]])[0]
        assert bold == ["animal" if said == "abstain" else said]
    with pytest.raises(ValueError, match="X must be one sample"):
        AnswerTreeDisplay.from_estimator(model, data[0][:2])


@pytest.mark.parametrize(
    ("proba", "semantics", "options", "message"),
    [
        ([0.5, 0.5], TREE, {}, "proba must have one entry for each of 3 classes"),
        ([0.5, 0.6, 0.1], TREE, {}, "proba has rows that do not sum to one"),
        ([0.5, 0.4, 0.1], TREE, {"answer": "wolf"}, "answer must be the label of a node"),
        ([0.5, 0.4, 0.1], TREE, {"least": 2.0}, "least must lie in"),
        ([0.5, 0.4, 0.1], ClassSemantics.from_matrix(1 - np.eye(3)), {}, "semantics have no tree"),
    ],
)
def test_what_cannot_be_drawn_is_refused(proba, semantics, options, message):
    with pytest.raises(ValueError, match=message):
        AnswerTreeDisplay.from_predictions(proba, semantics, **options)

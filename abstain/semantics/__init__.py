"""Class semantics: how near classes are to each other, and what that means for losses, costs and answers."""

from abstain.semantics.class_semantics import ClassSemantics
from abstain.semantics.displays import AnswerTreeDisplay
from abstain.semantics.ladder import Ladder
from abstain.semantics.rules import DARTS, Climb, LeafOrRoot, LeastCost, MaxCoverage, NodeRule, NodeSets
from abstain.semantics.tree import ClassTree
from abstain.semantics.wordnet import senses

__all__ = [
    "DARTS",
    "AnswerTreeDisplay",
    "ClassSemantics",
    "ClassTree",
    "Climb",
    "Ladder",
    "LeafOrRoot",
    "LeastCost",
    "MaxCoverage",
    "NodeRule",
    "NodeSets",
    "senses",
]

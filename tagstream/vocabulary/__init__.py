"""The words that photos are tagged with and found by: one source for classifier, search, completion and docs."""

from __future__ import annotations

from tagstream.vocabulary.tree import Concept, RollUp, Tree, load_tree

__all__ = ["Concept", "RollUp", "Tree", "load_tree"]

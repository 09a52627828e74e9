"""Heads: classifiers on features by scikit-learn, cross-validated, calibrated and stored. Never torch, never pickle."""

from tlkit.features.heads.fit_head import fit_head, fit_setting
from tlkit.features.heads.head import Head
from tlkit.features.heads.head_choice import HeadCandidate, HeadChoice, choose_head
from tlkit.features.heads.head_kinds import FACTS, KINDS, QUICK_KINDS, HeadKind
from tlkit.features.heads.head_store import load_head, save_head
from tlkit.features.heads.linear import LinearWeights

__all__ = [
    "FACTS",
    "KINDS",
    "QUICK_KINDS",
    "Head",
    "HeadCandidate",
    "HeadChoice",
    "HeadKind",
    "LinearWeights",
    "choose_head",
    "fit_head",
    "fit_setting",
    "load_head",
    "save_head",
]

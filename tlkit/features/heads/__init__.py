"""Classifiers on features, from scikit-learn: fitted, calibrated, compared, stored. Never torch, never pickle."""

from tlkit.features.heads.fit_head import fit_head, fit_setting
from tlkit.features.heads.head import Head, LinearPart
from tlkit.features.heads.head_choice import Candidate, HeadChoice, choose_head
from tlkit.features.heads.head_kinds import FACTS, KINDS, QUICK_KINDS, HeadKind
from tlkit.features.heads.head_store import load_head, save_head

__all__ = [
    "FACTS",
    "KINDS",
    "QUICK_KINDS",
    "Candidate",
    "Head",
    "HeadChoice",
    "HeadKind",
    "LinearPart",
    "choose_head",
    "fit_head",
    "fit_setting",
    "load_head",
    "save_head",
]

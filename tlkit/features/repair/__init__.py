"""Repair of a head for the worst group: reweighting, group DRO, deep feature reweighting, offsets. Never torch."""

from tlkit.features.repair.repair_candidates import (
    REPAIR_METHODS,
    GroupedFeatures,
    RepairCandidate,
    RepairMethod,
    fit_candidates,
)

__all__ = ["REPAIR_METHODS", "GroupedFeatures", "RepairCandidate", "RepairMethod", "fit_candidates"]

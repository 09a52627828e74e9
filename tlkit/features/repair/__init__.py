"""Heads that serve the worst group better, refitted on cached features. Never torch."""

from tlkit.features.repair.repair_candidates import METHODS, Candidate, Method, Part, fit_candidates

__all__ = ["METHODS", "Candidate", "Method", "Part", "fit_candidates"]

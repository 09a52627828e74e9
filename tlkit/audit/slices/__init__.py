"""Slice discovery: groups with high error rates, searched on one half of a split and tested on the other."""

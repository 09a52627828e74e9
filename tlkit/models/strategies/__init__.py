"""Strategies: which parameters train in which epochs and at which rate."""

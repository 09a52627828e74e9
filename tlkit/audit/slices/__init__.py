"""Slices: groups of images that nobody declared, searched on one half of a split and tested on the other."""

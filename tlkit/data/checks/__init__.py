"""Checks of images and data sets: readable files, duplicates, leaks, quality, labels, quarantine."""

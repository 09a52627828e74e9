"""Importers: datasets in the formats of other tools, written as lists of images that a recipe reads."""

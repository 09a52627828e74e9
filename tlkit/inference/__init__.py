"""Inference: predictions of a stored model, features of images, devices."""

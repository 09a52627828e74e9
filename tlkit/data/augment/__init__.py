"""Augmentation for training, and fixed views for test-time augmentation."""

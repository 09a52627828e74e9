"""Sources of pretrained weights: the hub, packages, files, earlier runs."""

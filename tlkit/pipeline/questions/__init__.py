"""Questions that look at the images again: which backbone, which labels, how many images, where it fails and why."""

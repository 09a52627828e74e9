"""A stored model in use: predictions, features of images, devices."""

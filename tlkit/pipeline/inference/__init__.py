"""A stored model at work: predictions, features of images, and the device that makes them; with torch."""

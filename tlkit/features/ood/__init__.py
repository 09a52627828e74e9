"""Out-of-distribution scores on features and logits, and the threshold beyond which an image is called unknown."""

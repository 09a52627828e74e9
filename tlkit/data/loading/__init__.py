"""Images as a PyTorch dataset, loader and Lightning DataModule."""

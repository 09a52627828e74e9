"""Training: `fit` and its steps, the trainer, checkpoints, several processes."""

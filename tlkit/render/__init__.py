"""Results drawn for readers: plots, the HTML report and the model card."""

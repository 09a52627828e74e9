"""What a run on disk can be asked without torch: evaluation, audit, comparison, gates, report."""

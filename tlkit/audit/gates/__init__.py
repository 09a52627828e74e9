"""Gates: conditions on rates and gaps that a build must meet, with their verdicts and reports."""

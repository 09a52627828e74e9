"""The verbs: fit and predict (with torch), judge (without)."""

"""Training: a recipe made concrete, its networks trained, stopped and resumed, on one device or several; with torch."""

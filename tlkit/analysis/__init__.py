"""Questions that need images or features again: advise, label audit, learning curve, slices, repair."""

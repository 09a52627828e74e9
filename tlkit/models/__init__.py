"""From a timm backbone to a trained classifier."""

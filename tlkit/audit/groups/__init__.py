"""Groups of images: one column, or an intersection of columns, discretized where its values are numbers."""

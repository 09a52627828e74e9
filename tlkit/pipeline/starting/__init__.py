"""Before torch is loaded: what a recipe asks for, its images, and the run that may be there already."""

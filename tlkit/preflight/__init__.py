"""What a recipe asks for, and its data set, checked before torch is loaded."""

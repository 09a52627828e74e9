"""Train, validation and test splits: stratified, by group, by time, or fixed by a file."""

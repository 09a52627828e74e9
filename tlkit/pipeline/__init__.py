"""The verbs. `fit` trains and writes a run; `questions` and `judging` ask one that is there."""

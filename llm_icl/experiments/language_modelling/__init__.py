"""Train small GPTs with and without momentum attention."""

KIND = "train-lm"

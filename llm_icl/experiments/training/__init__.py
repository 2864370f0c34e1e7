"""Train a small network to learn in context."""

KIND = "train"

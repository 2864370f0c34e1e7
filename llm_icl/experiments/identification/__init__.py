"""Find out which learning algorithm a model runs in context."""

KIND = "identify"

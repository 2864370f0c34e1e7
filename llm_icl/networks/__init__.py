"""From a name, or the folder of a training run, to a network."""

"""A matrix of experiments, and who carries them out."""

"""Which algorithm gives these answers: one, a mixture, or none of the candidates."""

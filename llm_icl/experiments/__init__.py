"""What a run directory can hold: one folder for each kind."""

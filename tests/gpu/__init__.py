"""What a GPU changes, checked against the CPU and timed: `make gpu`."""

"""What people write, as checked values: names with options, cards, files, secrets."""

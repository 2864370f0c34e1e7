"""One file per kind of sequence mixer. To add a mixer, add a file."""

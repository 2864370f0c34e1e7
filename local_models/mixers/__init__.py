"""One short file for each kind of sequence mixer. A new one is a new file: nothing else names them."""

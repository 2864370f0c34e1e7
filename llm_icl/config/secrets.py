"""Keys: known to the process, and in no text that it writes."""

import os
import re

# Shorter values of variables would be found in harmless text.
_LEAST_SECRET = 8
_secrets: set[str] = set()


def remember(key: str) -> None:
    """A key that is in use, whatever the variable that holds it is called."""
    _secrets.add(key)


def redact(text: str) -> str:
    """The text without the value of any environment variable that holds a key."""
    named = {value for name, value in os.environ.items() if re.search(r"KEY|TOKEN|SECRET|PASSWORD", name)}
    for value in sorted(_secrets | named, key=len, reverse=True):
        if len(value) >= _LEAST_SECRET:
            text = text.replace(value, "***")
    return text

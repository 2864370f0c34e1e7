"""API keys: redacted in all output."""

import os
import re

# Shorter values could occur in unrelated text.
_LEAST_SECRET = 8
_secrets: set[str] = set()


def remember(key: str) -> None:
    """Register a key for redaction, whatever the name of its variable."""
    _secrets.add(key)


def redact(text: str) -> str:
    """Remove registered keys and the values of environment variables that look like keys from a text."""
    named = {value for name, value in os.environ.items() if re.search(r"KEY|TOKEN|SECRET|PASSWORD", name)}
    for value in sorted(_secrets | named, key=len, reverse=True):
        if len(value) >= _LEAST_SECRET:
            text = text.replace(value, "***")
    return text

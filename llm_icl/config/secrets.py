"""API keys: in no file and no message, whatever their shape; refused where none belongs.

Three things are taken for a secret: the keys that are sent (`remember`), values of environment variables whose names
say so (and of headers and passwords in addresses there), and texts that have the form of a provider's key.
"""

import os
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

# Shorter values of the environment could occur in unrelated text.
_LEAST_SECRET = 8
# Shorter keys would be found in every text.
LEAST_KEY = 4
_NAMES = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|ORG_ID", re.I)
_OF_ACCESS = re.compile(r"AUTH|COOKIE|ACCESS", re.I)
# What is written where a server needs no key.
PLACEHOLDERS = frozenset(
    "none null no no-key nokey empty dummy fake placeholder unused not-needed not-used na n/a ollama lm-studio "
    "llama.cpp vllm local token-free sk-no-key-required false true".split()
)
# Providers' keys begin in a way of their own; JSON web tokens too.
_FORMS = re.compile(
    r"(?<![A-Za-z0-9_-])(?:"
    r"(?:sk|pk|rk)-(?=[A-Za-z0-9_-]*\d)[A-Za-z0-9_-]{8,}|(?:gsk|hf|r8|xai|fw|tgp_v1|glpat|ghp|gho|nvapi|pplx|csk)[_-]"
    r"[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|AIza[A-Za-z0-9_-]{30,}|AKIA[A-Z0-9]{16}"
    r"|eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*)?)"
)
_HIDDEN = "***"
_secrets: set[str] = set()


def remember(key: str) -> None:
    """Register a key for redaction, whatever the name of its variable."""
    if key and key.lower() not in PLACEHOLDERS:
        _secrets.add(key)


def redact(text: str) -> str:
    """Remove keys from a text."""
    return str(redacted(text))


def redacted(data: Any) -> Any:
    """JSON data without keys in any of its texts."""
    known = _pattern(frozenset(_known()))

    def clear(part: Any) -> Any:
        if isinstance(part, str):
            return _FORMS.sub(_HIDDEN, known.sub(_HIDDEN, part) if known else part)
        if isinstance(part, dict):
            return {clear(key): clear(value) for key, value in part.items()}
        return [clear(value) for value in part] if isinstance(part, list | tuple) else part

    return clear(data)


def holds_key(text: str) -> bool:
    """Whether a text that a user wrote has a key in it."""
    found = _FORMS.search(text)
    if found and found[0].lower() not in PLACEHOLDERS:
        return True
    return any(re.search(rf"(?<![A-Za-z0-9]){re.escape(value)}(?![A-Za-z0-9])", text) for value in _unmistakable())


def _unmistakable() -> Iterable[str]:
    """The known values that nobody writes by chance: no word, no folder, no number."""
    short = [
        value.strip() for name, value in os.environ.items() if name.endswith("API_KEY") and len(value) >= LEAST_KEY
    ]
    for value in {*short, *_known()}:
        is_word = value.isalpha() and (value.islower() or len(value) < _LEAST_SECRET)
        is_path = value.startswith(("/", "~", "."))
        if not (is_word or is_path or value.isdecimal() or value.lower() in PLACEHOLDERS or len(value) < LEAST_KEY):
            yield value


def _known() -> Iterable[str]:
    """The values to remove."""
    yield from _secrets
    for name, value in os.environ.items():
        if len(value) >= _LEAST_SECRET and _NAMES.search(name) and value.lower() not in PLACEHOLDERS:
            yield value
        if name.upper().endswith("HEADERS"):
            yield from _sent(value)
        if "@" in value and "://" in value:
            yield from _passwords(value)


def _sent(headers: str) -> Iterable[str]:
    """The words of headers whose names say that they are secret; headers are lines, or separated by commas."""
    for header in {*headers.splitlines(), *re.split(r"[\n,]", headers)}:
        name, _, value = header.partition(":" if ":" in header else "=")
        if _NAMES.search(name) or _OF_ACCESS.search(name):
            yield from (word for word in value.split() if len(word) >= _LEAST_SECRET)


def _passwords(address: str) -> Iterable[str]:
    try:
        password = urlsplit(address).password
    except ValueError:
        return
    if password and len(password) >= LEAST_KEY:
        yield password


@lru_cache(maxsize=64)
def _pattern(values: frozenset[str]) -> re.Pattern[str] | None:
    """The values as they are, without blanks around them, and as addresses and JSON write them; letters of any case."""
    forms: set[str] = set()
    for value in values:
        for plain in {value, value.strip(), value.strip().strip("'\"")}:
            forms |= {
                plain,
                quote(plain, safe=""),
                quote_plus(plain),
                quote(plain),
                plain.encode("unicode_escape").decode(),
            }
            forms |= {plain.replace("\\", "\\\\").replace('"', '\\"'), " ".join(plain.split())}
            forms |= {line for line in plain.splitlines() if len(line) >= _LEAST_SECRET}
    wanted = sorted((form for form in forms if len(form) >= LEAST_KEY), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, wanted)), re.I) if wanted else None

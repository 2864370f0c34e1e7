"""Addresses of servers, and names of the environment variables with their keys."""

import os
import re
from urllib.parse import unquote, urlsplit

from llm_icl.config.secrets import holds_key
from llm_icl.errors import RequestError

# The environment variable with the key of a user's own server. Providers' keys are never sent to other servers.
OWN_SERVER_KEY = "LLM_ICL_API_KEY"
# A part of a path that only a machine can have made: keys have capitals, small letters and digits. Identifiers of
# accounts, in hexadecimal digits, have not.
_RANDOM = re.compile(r"(?=[^/]*\d)(?=[^/]*[a-z])(?=[^/]*[A-Z])[A-Za-z0-9_.~+=-]{20,}")


def checked_url(url: str) -> str:
    """A base URL without a slash at its end. Raises RequestError if it is not a URL or contains a secret."""
    url = url.strip()
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        path = unquote(parts.path)
    except ValueError:  # may contain a password: not shown
        usable, path = False, ""
    secret = holds_key(url) or holds_key(path) or any(map(_RANDOM.fullmatch, path.split("/")))
    if re.match(r"[^/]*//[^/]*@", url) or "?" in url or "#" in url or secret:
        raise RequestError(
            f"--base-url must not contain a key or password: set the environment variable {OWN_SERVER_KEY}"
        )
    if not usable or not url.isprintable() or " " in url:
        raise RequestError("--base-url must be a URL such as http://localhost:8000/v1")
    return url.rstrip("/")


def is_variable(name: object) -> bool:
    """Whether a text is the name of an environment variable, not a key."""
    text = name if isinstance(name, str) else ""
    if holds_key(text):
        return False
    return text in os.environ or bool(re.fullmatch(r"[A-Z][A-Z0-9_]{0,60}", text) and len(re.findall(r"\d", text)) < 4)

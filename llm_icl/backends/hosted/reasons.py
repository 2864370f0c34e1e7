"""The reason that a server gives for not answering, in whatever shape it gives it: JSON of many forms, JSON within a
text, a web page, a plain text, or nothing.
"""

import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

# Members that hold a reason, in the order in which they are told, and those that hold its kind.
_WORDS = (
    "error", "errors", "message", "msg", "detail", "details", "error_message", "errorMessage", "error_description",
    "description", "reason", "title", "fault", "faultstring", "innererror", "metadata", "raw",
)  # fmt: skip
_KINDS = ("code", "type", "status", "error_type", "error_code", "reason", "finish_reason", "retryDelay")
# Longer texts hold more than a reason, such as a whole request.
_LONGEST = 2000
_DEEPEST = 8
_MOST_ITEMS = 3
_TITLE = re.compile(r"<(title|h1)[^>]*>(.*?)</\1", re.I | re.S)
_NOT_SHOWN = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.I | re.S)
_WAIT = re.compile(
    r"(?:try again|retry|wait|available)[a-z ]{0,12}? (?:in|after|for)[: ]*((?:[\d.]+ ?[a-z]+ ?){1,4})", re.I
)
_LENGTH = re.compile(r"([\d.]+) ?(ms|milli|h|m|s)", re.I)
_SECONDS = {"ms": 1e-3, "milli": 1e-3, "h": 3600.0, "m": 60.0, "s": 1.0}


@dataclass(frozen=True)
class Reason:
    """The server's words, the kinds it names (codes and types), the parameters it complains of, and the HTTP status
    that it writes into the reply (0 for none).
    """

    words: str = ""
    kinds: str = ""
    parameters: tuple[str, ...] = ()
    status: int = 0

    @property
    def wait(self) -> float | None:
        """The seconds after which the server wants to be asked again, if it writes them."""
        found = _WAIT.search(self.words) or re.search(r"\b()([\d.]+ ?s)\b", self.kinds)
        lengths = _LENGTH.findall(found[found.lastindex or 1]) if found else []
        try:
            return sum(float(number) * _SECONDS[unit.lower()] for number, unit in lengths) if lengths else None
        except ValueError:
            return None


def reason_in(text: str) -> Reason:
    """The reason in the text of a reply."""
    text = text.strip().removeprefix("\ufeff")
    try:
        return reason_of(json.loads(text))
    except (ValueError, RecursionError):
        return Reason(_plain(text))


def reason_of(data: Any) -> Reason:
    """The reason in JSON data."""
    parts = list(_parts(data, 0))
    kinds = " ".join(str(value) for part in parts for key in _KINDS if isinstance(value := part.get(key), str | int))
    statuses = (str(part.get(key)) for part in parts for key in ("code", "status", "statusCode", "status_code"))
    codes = [int(value) for value in statuses if re.fullmatch(r"[1-5]\d\d", value)]
    parameters = tuple(dict.fromkeys(name for part in parts for name in _parameters(part)))
    return Reason(_words(data, 0)[:_LONGEST], kinds[:_LONGEST], parameters, codes[0] if codes else 0)


def _parts(data: Any, depth: int) -> Iterator[dict[str, Any]]:
    """All objects that belong to the reason."""
    if depth > _DEEPEST:
        return
    if isinstance(data, str):
        data = _inside(data)
    if isinstance(data, list):
        for item in data[:_MOST_ITEMS]:
            yield from _parts(item, depth + 1)
    if isinstance(data, dict):
        yield data
        for key in _WORDS:
            yield from _parts(data.get(key), depth + 1)


def _words(data: Any, depth: int) -> str:
    if depth > _DEEPEST:
        return ""
    if isinstance(data, str):
        inner = _inside(data)
        return (_words(inner, depth + 1) if inner is not None else "") or _plain(data)
    if isinstance(data, list):
        return _joined(_words(item, depth + 1) for item in data[:_MOST_ITEMS])
    if not isinstance(data, dict):
        return ""
    words = _joined(_words(data.get(key), depth + 1) for key in _WORDS)
    place = ".".join(map(str, data["loc"])) if isinstance(data.get("loc"), list) else ""
    return f"{place}: {words}" if place and words else words


def _joined(texts: Iterator[str]) -> str:
    """Texts one after the other, without those that another one contains."""
    kept: list[str] = []
    for text in filter(None, texts):
        if not any(text in other for other in kept):
            kept = [other for other in kept if other not in text] + [text]
    return "; ".join(kept)


def _inside(text: str) -> Any:
    """The JSON object or list that a text is, as a proxy repeats it; None if it is none."""
    text = text.strip()
    if text[:1] not in ("{", "[") or len(text) > 100 * _LONGEST:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _plain(text: str) -> str:
    """A text without the marks of a web page, of which the title is told."""
    text = text[: 50 * _LONGEST]
    if re.match(r"\s*(<!doctype|<html|<head|<body|<\?xml|<!--)", text, re.I):
        titles = [title for _, title in _TITLE.findall(text)]
        text = html.unescape(_NOT_SHOWN.sub(" ", "; ".join(dict.fromkeys(titles)) or text))
        text = f"a web page: {' '.join(text.split())}"
    return text.strip()[:_LONGEST]


def _parameters(part: dict[str, Any]) -> list[str]:
    """The parameters that an object of a reason names: in `param`, or as the place of a value in the request."""
    named = [part[key] for key in ("param", "parameter", "field") if isinstance(part.get(key), str)]
    place = part.get("loc")
    if isinstance(place, list):
        named += [name for name in place if isinstance(name, str) and name not in ("body", "query")][:1]
    return [name for text in named if (name := re.split(r"[.\[]", text.removeprefix("body."))[0])]

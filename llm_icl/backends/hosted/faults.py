"""Errors of requests, and the classification of what servers reply instead of an answer."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from llm_icl.backends.hosted.bounded import ReplyTooLargeError, text_of
from llm_icl.backends.hosted.reasons import Reason, reason_in, reason_of
from llm_icl.config.secrets import redact


class TransientError(Exception):
    """A retryable error. `kind` is `overload`, `timeout`, `connection`, `server`, `reply`, or `parameter` where a
    request is changed and sent again; `wait` is the delay that the server requests.

    `charged`: the request was sent and may be charged although no reply arrived.
    """

    def __init__(self, reason: str, kind: str, wait: float | None = None, charged: bool = False) -> None:
        super().__init__(reason)
        self.kind, self.wait, self.charged = kind, wait, charged


class RejectedError(Exception):
    """A permanent error of one request: too long, refused by a content filter, or rejected."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class UnusableError(Exception):
    """A reply that came, and may be charged, but in which nothing can be used. Asking at once again would not help."""


class HopelessError(Exception):
    """An error that affects all requests: an invalid key, an unknown model, no credit."""


_MESSAGE_LENGTH = 300
_NEVER_CONNECTED = ("ConnectError", "ClientConnectorError", "ConnectionRefusedError", "gaierror")
# Of connections that there were, which SDKs over aiohttp call a ConnectError all the same: the request may be paid for.
_DISCONNECTED = ("ServerDisconnectedError", "ClientOSError", "ClientConnectionResetError", "ClientConnectionError")
_OF_CONNECTIONS = ("APIConnectionError", "APITimeoutError", "ClientResponseError")  # the last is of broken HTTP
# What is raised where a reply is not what an SDK, or who reads its objects, expects.
_FORMLESS = (ValueError, TypeError, LookupError, AttributeError)
_WAITED = ("TimeoutError", "ReadTimeout", "WriteTimeout", "SocketTimeoutError", "ServerTimeoutError")
_CERTIFICATE = re.compile(r"certificate|wrong.version.number|record layer|tlsv\d|sslv\d|\[SSL", re.I)


def _words(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.I)


# What servers write, whatever the status is: the first that is found in the words or kinds of a reason.
_TOO_LONG = _words(
    r"context[_ ](length|window|size)", r"exceed\w*[_ ]context", r"maximum context", r"context the overflows",
    r"(prompt|input|request|message)s? (is|are|was) too (long|large)", r"(input|prompt)[_ ]too[_ ]long",
    r"too many (input |prompt )?tokens(?! per|, please wait)", r"longer than the (maximum|model)",
    r"request (entity )?too large",
    r"request_too_large", r"input token count", r"exceed\w* the (maximum|max|limit)[a-z ]{0,20}tokens",
    r"(inputs?|prompt)\W* (tokens? \+|must have less than)", r"n_keep.{0,20}n_ctx",
    r"reduce (the|your) (length|message)",
)  # fmt: skip
# What they write of requests that are at fault. Longer replies than a model writes are another matter.
_TOO_LONG_REQUEST = _words(
    r"maximum (prompt|input|sequence|token)[a-z ]{0,20} ?length", r"max_seq_len",
    r"exceed\w*( the)?( model'?s?)?( max\w*| allowed| configured| token)[^.;]{0,30}(length|limit|tokens?)",
    r"(length|tokens?|token count)[^.;]{0,20} (cannot |would |should not )?exceed",
    r"number of (input |prompt )?tokens[^.;]{0,60}(exceed|greater|larger|more than)",
    r"(prompt|input|message)s? (has|have|of) \d+ tokens", r"range of input length", r"string[_ ](too|above[_ ]max)",
)  # fmt: skip
_OF_REPLIES = re.compile(r"\bmax_(completion_|output_|new_)?tokens\b|(completion|output) tokens", re.I)
_FILTERED = _words(
    r"content[_ ](filter|management|policy)", r"responsible ?ai", r"content_policy_violation", r"safety system",
    r"data_inspection_failed", r"flagged", r"content exists risk", r"敏感",
)  # fmt: skip
_BLOCKED = _words(
    r"(account|organi[sz]ation|project|workspace)[^.;]{0,40}(flagged|suspended|disabled|deactivated|terminated|banned|"
    r"blocked|deleted)", r"(account|organization|project)_(deactivated|disabled|suspended|blocked)",
)  # fmt: skip
_NO_CREDIT = _words(
    r"credit balance", r"current quota", r"insufficient[_ ](quota|balance|credits?|funds)", r"out of credits?",
    r"no credits?\b", r"billing", r"payment required", r"(spending|spend|credit|usage) limit", r"good standing",
    r"arrear", r"(monthly|weekly) (limit|quota)", r"insufficient[^.;]{0,20} (balance|credits?|funds)",
    r"balance[^.;]{0,20} (insufficient|too low)", r"余额不足", r"欠费",
)  # fmt: skip
_WRONG_KEY = _words(
    r"(invalid|incorrect|wrong|missing|expired|bad|unknown|revoked)[^.;]{0,30}\b(api|access|auth\w*|subscription|x-api)"
    r"[- _]?(key|token)", r"api[- _]?key[^.;]{0,30}(not valid|invalid|missing|not found|expired|required|revoked)",
    r"invalid bearer", r"authentication[_ ]?(error|fail)", r"unauthori[sz]ed", r"unauthenticated",
    r"no auth credentials",
)  # fmt: skip
_WRONG_PATH = _words(
    r"model[^.;]{0,80}(not found|(does not|doesn't) exist|(is|was) not (found|available|loaded))", r"no such model",
    r"(invalid|unknown|unsupported)[_ ]model", r"model[_ ]not[_ ]found", r"deployment ?not ?found",
    r"unexpected endpoint",
    r"(unknown|invalid|no such) (url|endpoint|route|path)", r"method not allowed", r"no models? (is |are )?loaded",
)  # fmt: skip
# What is said of something that passes.
_PASSING = _words(
    r"(try again|retry) (later|in|after|soon|shortly)", r"please[, ]+wait", r"slow down", r"temporarily",
    r"at capacity", r"overloaded", r"\bbusy\b",
)  # fmt: skip
_OVERLOAD = _words(
    _PASSING.pattern, r"rate[_ ]?limit", r"too[_ ]many[_ ]requests", r"loading model", r"(currently|still) loading",
    r"warming up", r"resource_exhausted",
)  # fmt: skip
_ADDRESS = re.compile(r"https?://\S+")


def clean(message: str) -> str:
    """A short line that can be shown on every terminal, with API keys redacted."""
    shown = "".join(character if character.isprintable() else " " for character in redact(message))
    return redact(" ".join(shown.split()))[:_MESSAGE_LENGTH]


def fault_of(problem: Exception, model: str, timeout: float) -> Exception:
    """Classify an SDK's exception. Both SDKs use the same exception names."""
    status = getattr(problem, "status_code", None)
    if isinstance(status, int):
        response = getattr(problem, "response", None)
        headers = response.headers if response is not None else {}
        return fault_in(reason_for(problem), status, model, headers)
    causes: list[BaseException] = [problem]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    # Not a lost connection: nothing can be received any more, and every further attempt would be paid for and lost.
    if without_memory := next((cause for cause in causes if isinstance(cause, MemoryError)), None):
        return MemoryError(str(without_memory) or "no memory is left")
    if too_large := next((cause for cause in causes if isinstance(cause, ReplyTooLargeError)), None):
        return UnusableError(str(too_large))
    names = [type(cause).__name__ for cause in causes]
    if isinstance(problem, _FORMLESS):
        return TransientError("malformed reply: it has another form", "reply", charged=True)
    if not isinstance(problem, OSError) and names[0] not in _OF_CONNECTIONS:
        return problem
    # Transports wrap errors differently: use the root cause.
    cause = str(causes[-1]) or names[-1]
    if _CERTIFICATE.search(" ".join(map(str, causes[1:]))) and not any(name in names for name in _WAITED):
        return HopelessError(clean(f"{model}: no secure connection: check the URL and SSL_CERT_FILE ({cause})"))
    if any(name in names for name in _NEVER_CONNECTED) and not any(name in names for name in _DISCONNECTED):
        return TransientError(clean(f"no connection ({cause})"), "connection")
    if any(name in names for name in _WAITED):
        return TransientError(f"no reply within {timeout:g} s", "timeout", charged=True)
    if "DecodingError" in names or "ClientResponseError" in names:
        return TransientError(clean(f"malformed reply ({cause})"), "reply", charged=True)
    return TransientError(clean(f"the connection was lost ({cause})"), "connection", charged=True)


def reason_for(problem: Exception) -> Reason:
    """The reason in the reply of an SDK's exception."""
    response = getattr(problem, "response", None)
    if response is not None:
        return reason_in(text_of(response))
    body = getattr(problem, "body", None)
    return reason_of(body) if body else Reason(str(problem))


def fault_in(reason: Reason, status: int, model: str, headers: Mapping[str, str] | None = None) -> Exception:
    """The error that a reply without an answer stands for. Its words count before its status, which proxies change."""
    headers = headers or {}
    if 300 <= status < 400:
        return _redirect(status, model, headers)
    said = _ADDRESS.sub("", f"{reason.kinds} {reason.words}")
    message = clean(f"HTTP {status}: {reason.words}" if reason.words else f"HTTP {status} without a reason")
    wait = retry_after(headers)
    wait = reason.wait if wait is None else wait
    status = reason.status if status == 200 and reason.status >= 400 else status
    # What passes is asked again, whatever else is said of it: "no slot for this context size, try again later".
    passes = (status == 429 and wait is not None) or ((status == 429 or status >= 500) and _PASSING.search(said))
    long = _TOO_LONG.search(said) or status == 413
    if status in (400, 422) and _TOO_LONG_REQUEST.search(said) and not _OF_REPLIES.search(said):
        long = True
    if long and not passes:
        return RejectedError("too_long", message)
    if status == 402 or (_NO_CREDIT.search(said) and wait is None and not passes):
        return HopelessError(f"{model}: the account has no credit left ({message})")
    if status == 403 and _OVERLOAD.search(said):  # secondary rate limits
        return TransientError(message, "overload", wait)
    if status in (408, 409, 423, 424, 425, 429) or status >= 500:
        permanent = status >= 500 and status != 503
        if permanent and _WRONG_KEY.search(said):
            return HopelessError(f"{model}: the API key is invalid ({message})")
        if permanent and (status == 501 or _WRONG_PATH.search(said)):
            return HopelessError(f"{model}: the provider has no such model or URL ({message})")
        overload = status in (429, 503, 529) or _OVERLOAD.search(said)
        # What stands behind a gateway may go on, and be paid for, when that has waited long enough.
        return TransientError(message, "overload" if overload else "server", wait, charged=status in (504, 524))
    if status >= 400 and _BLOCKED.search(said):
        return HopelessError(f"{model}: the provider has closed the account ({message})")
    if status < 500 and _FILTERED.search(said):
        return RejectedError("refused", message)
    if status == 401 or _WRONG_KEY.search(said):
        return HopelessError(f"{model}: the API key is invalid ({message})")
    if status in (403, 407):
        by = "the proxy" if status == 407 else "the server"
        return HopelessError(f"{model}: {by} refuses access ({message})")
    if status in (404, 405, 410) or _WRONG_PATH.search(said):
        return HopelessError(f"{model}: the provider has no such model or URL ({message})")
    if _OVERLOAD.search(said):
        return TransientError(message, "overload", wait)
    if status == 200:
        return TransientError(message, "reply", wait, charged=True)
    return RejectedError("error", message)


def _redirect(status: int, model: str, headers: Mapping[str, str]) -> HopelessError:
    """Redirects are not followed: a key must not go to another server, and what was sent would be lost."""
    try:
        to = urlsplit(headers.get("location", ""))
        host = f"{to.scheme}://{to.netloc.rpartition('@')[2]}" if to.netloc else ""
        place = clean(f"{host}{to.path}")
    except ValueError:
        place = ""
    return HopelessError(
        f"{model}: the server redirects{f' to {place}' if place else ''} (HTTP {status}): give --base-url the address "
        "that answers itself"
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The delay in seconds that the server requests: a number, or a date, which is compared with the server's clock."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        text = headers.get(name)
        if text is None:
            continue
        try:
            return max(0.0, float(text) / unit)
        except ValueError:
            pass
        if then := _date(text):
            return max(0.0, (then - (_date(headers.get("date", "")) or datetime.now(UTC))).total_seconds())
    return None


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
        return (found.replace(tzinfo=UTC) if found.tzinfo is None else found).astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return None

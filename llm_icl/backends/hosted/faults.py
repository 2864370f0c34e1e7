"""Errors of requests, and the classification of providers' errors."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from llm_icl.config.secrets import redact


class TransientError(Exception):
    """A retryable error. `kind` is `overload`, `timeout` or `connection`; `wait` is the delay that the server requests.

    `charged`: the request was sent and may be charged although no reply arrived.
    """

    def __init__(self, reason: str, kind: str, wait: float | None = None, charged: bool = False) -> None:
        super().__init__(reason)
        self.kind, self.wait, self.charged = kind, wait, charged


class RejectedError(Exception):
    """A permanent error of one request: too long, or rejected."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class UnusableError(Exception):
    """A reply that came, and may be charged, but in which nothing can be used. Asking at once again would not help."""


class HopelessError(Exception):
    """An error that affects all requests: an invalid key, an unknown model, no credit."""


_MESSAGE_LENGTH = 300
_NEVER_CONNECTED = ("ConnectError", "ClientConnectorError", "ConnectionRefusedError", "gaierror")
_WAITED = ("TimeoutError", "ReadTimeout", "WriteTimeout", "SocketTimeoutError", "ServerTimeoutError")
_TOO_LONG = re.compile(
    r"context (length|window)|maximum context|prompt is too long|too many (input )?tokens|longer than the maximum", re.I
)
_NO_CREDIT = re.compile(r"credit balance|current quota", re.I)
_REFUSES = re.compile(
    r"unsupported|(not|n't) support|unknown|unrecogni[sz]ed|not permitted|deprecated|does not accept", re.I
)
_REFUSES_ALL = re.compile(r"extra inputs|not allowed|not available|no longer|invalid parameter", re.I)
_TOP_TOKENS = re.compile(r"log_?prob|top_n_tokens", re.I)
_AT_MOST = re.compile(r"(?:<=|\bmax\w*|at most|up to|less than or equal to|between 0 and)[a-z :]*(\d+)", re.I)
_NEEDED = ("model", "messages", "system", "input", "prompt", "max_tokens", "max_completion_tokens", "max_output_tokens")


def clean(message: str) -> str:
    """A short message, with API keys redacted."""
    return redact(" ".join(message.split()))[:_MESSAGE_LENGTH]


def fault_of(problem: Exception, model: str, timeout: float) -> Exception:
    """Classify an SDK's exception. Both SDKs use the same exception names."""
    status = getattr(problem, "status_code", None)
    if isinstance(status, int):
        return _status_fault(problem, status, model)
    causes: list[BaseException] = [problem]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    names = [type(cause).__name__ for cause in causes]
    if not isinstance(problem, OSError) and names[0] not in ("APIConnectionError", "APITimeoutError"):
        return problem
    # Transports wrap errors differently: use the root cause.
    if any(name in names for name in _NEVER_CONNECTED):
        return TransientError(clean(f"no connection ({causes[-1]})"), "connection")
    if any(name in names for name in _WAITED):
        return TransientError(f"no reply within {timeout:g} s", "timeout", charged=True)
    reason = f"the connection was lost ({names[-1]}: {causes[-1]})"
    return TransientError(clean(reason), "connection", charged=True)


def _status_fault(problem: Exception, status: int, model: str) -> Exception:
    body = getattr(problem, "body", None)
    details = body.get("error", body) if isinstance(body, dict) else {}
    details = details if isinstance(details, dict) else {"message": str(details)}
    said = str(details.get("message") or getattr(problem, "message", "") or problem)
    code = f"{details.get('code', '')} {details.get('type', '')}"
    message = clean(f"HTTP {status}: {said}")
    if "insufficient_quota" in code or status == 402 or _NO_CREDIT.search(said):
        return HopelessError(f"{model}: the account has no credit left ({message})")
    if status in (408, 409, 429) or status >= 500:
        response = getattr(problem, "response", None)
        wait = retry_after(response.headers) if response is not None else None
        return TransientError(message, "overload" if status in (429, 503, 529) else "server", wait)
    if status in (401, 403):
        return HopelessError(f"{model}: the API key is invalid ({message})")
    if status == 404:
        return HopelessError(f"{model}: the provider has no such model or URL ({message})")
    if "context_length" in code or _TOO_LONG.search(said):
        return RejectedError("too_long", message)
    return RejectedError("error", message)


def refused_parameter(problem: Exception, body: Mapping[str, Any]) -> str | None:
    """The parameter of `body` that a provider's 400 response rejects; None for other errors."""
    if getattr(problem, "status_code", None) not in (400, 422):
        return None
    data = getattr(problem, "body", None)
    details = data.get("error", data) if isinstance(data, dict) else {}
    details = details if isinstance(details, dict) else {}
    said = str(details.get("message") or problem)
    if not (_REFUSES.search(said) or _REFUSES_ALL.search(said)):
        return None
    optional = [key for key in body if key not in _NEEDED]
    named = str(details.get("param") or "").split(".")[0].split("[")[0]
    if named in body:
        return named if named in optional else None
    return next((key for key in optional if re.search(rf"\b{re.escape(key)}\b", said)), None)


def most_allowed(problem: Exception, body: Mapping[str, Any]) -> tuple[str, int] | None:
    """The parameter with the number of top tokens, and the most that a provider's 400 response allows of it; None for
    other errors.
    """
    name = "top_logprobs" if "top_logprobs" in body else "logprobs"
    said = f"{problem} {getattr(problem, 'body', '')}"  # the exception's text leaves out what is not in the usual form
    if getattr(problem, "status_code", None) not in (400, 422) or not _TOP_TOKENS.search(said):
        return None
    allowed = [int(most) for most in _AT_MOST.findall(said) if 0 < int(most) < int(body.get(name) or 0)]
    return (name, max(allowed)) if allowed else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The delay in seconds that the server requests: a number, or a date."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        text = headers.get(name)
        if text is None:
            continue
        try:
            return max(0.0, float(text) / unit)
        except ValueError:
            pass
        try:
            return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
        except (ValueError, TypeError):
            continue
    return None

"""A model behind an HTTP interface: what is common to all providers.

One question is one request. The provider's SDK sends it, without retries of its own; what goes wrong becomes one of
three errors, and whoever sends decides what to do (llm_icl/runs/sending.py).
"""

import asyncio
import json
import math
import os
import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from llm_icl.backends.base import LanguageModel
from llm_icl.backends.catalogue import ModelEntry
from llm_icl.errors import RequestError

# Seconds until an answer is no longer waited for; a model that reasons takes its time.
TIMEOUT = 120.0
REASONING_TIMEOUT = 600.0
# Where the key for a server of the user's own stands. A provider's key is never sent to a server that is not theirs.
OWN_SERVER_KEY = "LLM_ICL_API_KEY"
_MESSAGE_LENGTH = 300
# Shorter values of variables would be found in harmless text.
_LEAST_SECRET = 8
_secrets: set[str] = set()
# Parameters that make no sense without each other.
_TOGETHER = {"logprobs": ("top_logprobs",), "top_logprobs": ("logprobs",)}
_SENT_FROM_ENVIRONMENT = ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS", "ANTHROPIC_CUSTOM_HEADERS")
# Tokens that a provider puts around each message, at most.
_AROUND_MESSAGE = 16


class TransientError(Exception):
    """Worth another attempt. `kind` is `overload`, `timeout` or `connection`; `wait` what the server asked for.

    `charged`: the request had been sent, and may cost although nothing came back.
    """

    def __init__(self, reason: str, kind: str, wait: float | None = None, charged: bool = False) -> None:
        super().__init__(reason)
        self.kind, self.wait, self.charged = kind, wait, charged


class RejectedError(Exception):
    """This question gets no answer, and would get none again: too long, or refused as a request."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class HopelessError(Exception):
    """No question will get an answer: a wrong key, an unknown model, no credit."""


class Question(Protocol):
    """`request` is JSON data, all that can change the reply; `payload` what the backend works with."""

    @property
    def request(self) -> dict[str, Any]: ...

    @property
    def payload(self) -> Any: ...


@dataclass(frozen=True)
class BatchProgress:
    """How far a provider is with a batch: whether it has ended, how many questions are done, what went wrong."""

    ended: bool
    done: int
    errors: str = ""


class RemoteModel(LanguageModel):
    """Asked over HTTP, many questions at a time.

    A subclass says what goes on the wire (`body`), sends it (`send`) and reads what came back (`read`); the batch
    interfaces use the first and the last.
    """

    samples = True

    def __init__(self, entry: ModelEntry) -> None:
        self.entry = entry
        self.options = dict(entry.options)
        self.dropped: set[str] = set()
        self.served: set[str] = set()
        effort = self.options.get("effort", entry.effort)
        self.effort = str(effort) if effort else ""
        if self.options.get("effort") and "effort" not in entry.accepted(self.effort):
            raise RequestError(f"model '{entry.name}' takes no reasoning effort")
        self.timeout = positive(
            entry, "timeout", self.options.get("timeout", REASONING_TIMEOUT if entry.reasoning else TIMEOUT), least=1e-3
        )

    @classmethod
    def check(cls, entry: ModelEntry) -> None:
        cls(entry).secret()

    @property
    @abstractmethod
    def key_variable(self) -> str:
        """The environment variable that holds the key of this provider."""

    def secret(self) -> str:
        """The key, from the environment. Raises RequestError, naming the variable, where it is not there."""
        variable = str(self.options.get("key") or self.entry.key)
        if not variable:
            variable = OWN_SERVER_KEY if self.entry.base_url else self.key_variable
        key = os.environ.get(variable, "")
        _secrets.add(key)
        if not key and variable == OWN_SERVER_KEY:
            return "none"  # a server of one's own may want none
        if not key:
            raise RequestError(
                f"model '{self.entry.name}' needs a key: put it into the environment variable {variable}"
            )
        return key

    @abstractmethod
    def body(self, question: Question) -> dict[str, Any]:
        """What is sent, as JSON data."""

    @abstractmethod
    async def send(self, body: dict[str, Any]) -> str:
        """What comes back, as text. Raises whatever the SDK raises."""

    @abstractmethod
    def read(self, question: Question, answer: Any) -> dict[str, Any]:
        """The reply in the form that is kept, from the provider's JSON data. Raises KeyError, TypeError or IndexError
        where something is missing from it.
        """

    @abstractmethod
    def longest_reply(self, question: Question) -> int:
        """The greatest number of tokens that the reply may have and cost."""

    @classmethod
    def load(cls, entry: ModelEntry, logs: Path) -> "LanguageModel":
        model = cls(entry)
        model.connect()
        return model

    def connect(self) -> None:
        """Find out what the server can do. Raises RequestError where it is not there, or not what it should be."""

    async def open(self) -> None:
        """Called once, in the event loop, before the first question."""

    async def aclose(self) -> None:
        """Called once, in the event loop, after the last question."""

    async def ask(self, question: Question) -> dict[str, Any]:
        """One attempt at one question. Raises one of the three errors above."""
        return self.reply(question, await self.request(self.body(question)))

    async def request(self, body: dict[str, Any]) -> str:
        """One request. A parameter that the provider refuses is left out from then on, and this is recorded."""
        while True:
            sent = {key: value for key, value in body.items() if key not in self.dropped}
            try:
                async with asyncio.timeout(self.timeout):
                    return await self.send(sent)
            except Exception as problem:
                parameter = refused_parameter(problem, sent)
                if parameter is None:
                    raise self.fault(problem) from None
                self.dropped |= {parameter, *_TOGETHER.get(parameter, ())}

    def reply(self, question: Question, text: str) -> dict[str, Any]:
        """The reply that a text holds. Raises TransientError where it is no reply: it may have been cut."""
        try:
            reply = self.read(question, json.loads(text))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as problem:
            reason = f"the reply makes no sense ({type(problem).__name__}: {problem})"
            raise TransientError(self.clean(reason), "reply", charged=True) from None
        self.served.add(str(reply.get("model", "")))
        if self.dropped:
            reply["dropped"] = sorted(self.dropped)
        return reply

    def found(self) -> dict[str, Any]:
        served = sorted(name for name in self.served if name)
        return {"served": served, "dropped": sorted(self.dropped)}

    def cost(self, usage: Mapping[str, int]) -> float:
        """US dollars. Tokens without a price of their own cost what plain input costs."""
        price = self.entry.price
        plain = price.get("input", 0.0)
        dollars = sum(usage.get(kind, 0) * price.get(kind, plain) for kind in ("input", "cached", "write", "output"))
        return dollars / 1e6

    def greatest_cost(self, question: Question) -> float:
        """What the question can cost at most, in US dollars: no tokenizer makes more tokens than there are bytes."""
        prompt = question.request["prompt"]
        messages = [message["content"] for message in prompt] if isinstance(prompt, list) else [prompt]
        tokens = sum(len(message.encode()) + _AROUND_MESSAGE for message in messages)
        price = self.entry.price
        dearest = max((price.get(kind, 0.0) for kind in ("input", "write")), default=0.0)
        return (tokens * dearest + self.longest_reply(question) * price.get("output", 0.0)) / 1e6

    def clean(self, message: str) -> str:
        """A message for people: short, and without the key whatever the server put into it."""
        return redact(" ".join(message.split()))[:_MESSAGE_LENGTH]

    def fault(self, problem: Exception) -> Exception:
        """What an SDK's exception means. Both SDKs name theirs alike: they are made by the same generator."""
        status = getattr(problem, "status_code", None)
        if isinstance(status, int):
            return self._status_fault(problem, status)
        causes: list[BaseException] = [problem]
        while causes[-1].__cause__ is not None:
            causes.append(causes[-1].__cause__)
        names = [type(cause).__name__ for cause in causes]
        if not isinstance(problem, OSError) and names[0] not in ("APIConnectionError", "APITimeoutError"):
            return problem
        # What the transports make of one another's errors differs: the first cause says what happened.
        if any(name in names for name in _NEVER_CONNECTED):
            return TransientError(self.clean(f"no connection ({causes[-1]})"), "connection")
        if any(name in names for name in _WAITED):
            return TransientError(f"no answer within {self.timeout:g} s", "timeout", charged=True)
        reason = f"the connection broke ({names[-1]}: {causes[-1]})"
        return TransientError(self.clean(reason), "connection", charged=True)

    def _status_fault(self, problem: Exception, status: int) -> Exception:
        body = getattr(problem, "body", None)
        details = body.get("error", body) if isinstance(body, dict) else {}
        details = details if isinstance(details, dict) else {"message": str(details)}
        said = str(details.get("message") or getattr(problem, "message", "") or problem)
        code = f"{details.get('code', '')} {details.get('type', '')}"
        message = self.clean(f"HTTP {status}: {said}")
        if "insufficient_quota" in code or status == 402 or _NO_CREDIT.search(said):
            return HopelessError(f"{self.entry.name}: the account has no credit left ({message})")
        if status in (408, 409, 429) or status >= 500:
            response = getattr(problem, "response", None)
            wait = retry_after(response.headers) if response is not None else None
            return TransientError(message, "overload" if status in (429, 503, 529) else "server", wait)
        if status in (401, 403):
            return HopelessError(f"{self.entry.name}: the key was not accepted ({message})")
        if status == 404:
            return HopelessError(f"{self.entry.name}: the provider does not know this model or address ({message})")
        if "context_length" in code or _TOO_LONG.search(said):
            return RejectedError("too_long", message)
        return RejectedError("error", message)


class BatchModel(RemoteModel):
    """A remote model whose provider also takes questions in batches."""

    @abstractmethod
    async def submit(self, bodies: Mapping[str, dict[str, Any]]) -> str:
        """Begin a batch; the keys of `bodies` come back with the answers. Returns the batch's identifier."""

    @abstractmethod
    async def progress(self, batch: str) -> BatchProgress:
        """How far the provider is."""

    @abstractmethod
    async def collect(self, batch: str) -> dict[str, str]:
        """The answers of a batch that has ended, by the names that `submit` was given; failed ones are left out."""


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
_NEEDED = ("model", "messages", "system", "input", "prompt", "max_tokens", "max_completion_tokens", "max_output_tokens")


def refused_parameter(problem: Exception, body: Mapping[str, Any]) -> str | None:
    """The parameter of `body` that a provider's 400 says it does not take, None where it says nothing of the kind."""
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


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server wants to be left alone: a number, or a date."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        text = headers.get(name)
        if text is None:
            continue
        try:
            return max(0.0, float(text) / unit)
        except ValueError:
            pass
        try:
            from datetime import UTC, datetime
            from email.utils import parsedate_to_datetime

            return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
        except (ValueError, TypeError):
            continue
    return None


def positive(entry: ModelEntry, option: str, value: object, least: float) -> float:
    """An option that is a number. Raises RequestError where it is none, or too small."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < math.inf:
        raise RequestError(f"model '{entry.name}': {option} must be a number of at least {least:g}, not '{value}'")
    return float(value)


@contextmanager
def only_own_headers(entry: ModelEntry) -> Iterator[None]:
    """The SDKs add headers from the environment to every request; a server of one's own must not get a provider's."""
    names = [name for name in _SENT_FROM_ENVIRONMENT if entry.base_url and name in os.environ]
    hidden = {name: os.environ.pop(name) for name in names}
    try:
        yield
    finally:
        os.environ.update(hidden)


def redact(text: str) -> str:
    """The text without the value of any environment variable that holds a key."""
    named = {value for name, value in os.environ.items() if re.search(r"KEY|TOKEN|SECRET|PASSWORD", name)}
    for value in sorted(_secrets | named, key=len, reverse=True):
        if len(value) >= _LEAST_SECRET:
            text = text.replace(value, "***")
    return text


def checked_url(url: str) -> str:
    """A base URL without a slash at its end. Raises RequestError for one that is none, or that carries a secret."""
    url = url.strip()
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # its text may hold a password, and is not shown
        usable = False
    if re.match(r"[^/]*//[^/]*@", url) or "?" in url or "#" in url:
        raise RequestError(f"--base-url may carry no key or password: put it into {OWN_SERVER_KEY}")
    if not usable:
        raise RequestError("--base-url must be an address such as http://localhost:8000/v1")
    return url.rstrip("/")


def estimated_tokens(texts: Sequence[str]) -> int:
    """About how many tokens texts have, without a tokenizer: words, digits, signs, and the blanks before digits are
    one each. Some vocabularies have tokens of up to three digits, which makes it too many where bits stand together.
    """
    return sum(len(_TOKEN.findall(text)) for text in texts)


_TOKEN = re.compile(r" ?[^\W\d_]{1,12}|\d| ?[^\s\w]|\s+")

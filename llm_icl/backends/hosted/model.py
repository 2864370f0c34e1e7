"""A model behind an HTTP API: what is common to all providers.

Requests are sent by the provider's SDK with its retries disabled. Failures become one of three error types, which
llm_icl/asking/sending.py handles.
"""

import asyncio
import json
import math
import os
import re
from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from llm_icl.backends.base import LanguageModel, ModelEntry
from llm_icl.backends.exchange import Reply, Request
from llm_icl.backends.hosted.faults import TransientError, clean, fault_of, most_allowed, refused_parameter
from llm_icl.config.secrets import remember
from llm_icl.errors import RequestError

# Timeout in seconds; longer for reasoning models.
TIMEOUT = 120.0
REASONING_TIMEOUT = 600.0
# The environment variable with the key of a user's own server. Providers' keys are never sent to other servers.
OWN_SERVER_KEY = "LLM_ICL_API_KEY"
# Parameters that depend on each other.
_TOGETHER = {"logprobs": ("top_logprobs",), "top_logprobs": ("logprobs",)}
_SENT_FROM_ENVIRONMENT = ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS", "ANTHROPIC_CUSTOM_HEADERS")
# Tokens that a provider puts around each message, at most.
_AROUND_MESSAGE = 16


@dataclass(frozen=True)
class BatchProgress:
    """The progress of a batch: whether it has ended, the numbers of finished and of answered requests, errors."""

    ended: bool
    done: int
    answered: int
    errors: str = ""


@dataclass(frozen=True)
class Collected:
    """What can be read of an ended batch, by key: replies, and the reasons of requests without one."""

    answers: dict[str, str]
    failures: dict[str, str]


class UnlistedError(Exception):
    """The provider does not list its batches."""


class RemoteModel(LanguageModel):
    """A model that is called over HTTP, with concurrent requests.

    A subclass builds the request (`body`), sends it (`send`) and parses the response (`read`); the batch interfaces
    use `body` and `read`.
    """

    samples = True
    priced = True

    def __init__(self, entry: ModelEntry) -> None:
        self.entry = entry
        self.options = dict(entry.options)
        self.dropped: set[str] = set()
        self.lowered: dict[str, int] = {}
        self.served: set[str] = set()
        effort = self.options.get("effort", entry.effort)
        self.effort = str(effort) if effort else ""
        if self.options.get("effort") and "effort" not in entry.accepted(self.effort):
            raise RequestError(f"model '{entry.name}' does not support effort=… (reasoning effort)")
        self.timeout = positive(
            entry,
            "timeout",
            self.options.get("timeout", REASONING_TIMEOUT if entry.reasoning else TIMEOUT),
            minimum=1e-3,
        )

    # The provider's address, and the environment variable that may name another.
    usual_address = ""
    address_variable = ""

    @classmethod
    def check(cls, entry: ModelEntry) -> None:
        cls(entry).secret()

    @classmethod
    def place(cls, entry: ModelEntry) -> str:
        address = "" if entry.base_url else os.environ.get(cls.address_variable, "").strip().rstrip("/")
        return "" if address == cls.usual_address else address

    @property
    @abstractmethod
    def key_variable(self) -> str:
        """The environment variable that holds the key of this provider."""

    def secret(self) -> str:
        """The key, from the environment. Raises RequestError, with the variable's name, if it is not set."""
        variable = str(self.options.get("key") or self.entry.key)
        if not variable:
            variable = OWN_SERVER_KEY if self.entry.base_url else self.key_variable
        key = os.environ.get(variable, "")
        remember(key)
        if not key and variable == OWN_SERVER_KEY:
            return "none"  # a user's own server may need no key
        if not key:
            raise RequestError(f"model '{self.entry.name}' needs an API key: set the environment variable {variable}")
        return key

    @abstractmethod
    def body(self, request: Request) -> dict[str, Any]:
        """The request as JSON data."""

    @abstractmethod
    async def send(self, body: dict[str, Any]) -> str:
        """Send a request; returns the response as text. Raises the SDK's exceptions."""

    @abstractmethod
    def read(self, request: Request, answer: Any) -> Reply:
        """Parse the provider's JSON data into a reply. Raises KeyError, TypeError or IndexError if something is
        missing.
        """

    @abstractmethod
    def longest_reply(self, request: Request) -> int:
        """The maximum number of tokens of the reply."""

    @classmethod
    def load(cls, entry: ModelEntry, logs: Path) -> "LanguageModel":
        model = cls(entry)
        model.connect()
        return model

    def connect(self) -> None:
        """Detect the server's features. Raises RequestError if it is unreachable or not the expected one."""

    async def open(self) -> None:
        """Called once, in the event loop, before the first request."""

    async def aclose(self) -> None:
        """Called once, in the event loop, after the last request."""

    async def ask(self, request: Request) -> Reply:
        """One attempt at one request. Raises one of the three error types."""
        return self.reply(request, await self.request(self.body(request)))

    async def request(self, body: dict[str, Any]) -> str:
        """One request. A parameter that the provider rejects is omitted from then on, and a number of top tokens that
        it finds too large is lowered, which is recorded.
        """
        while True:
            sent = {key: self.lowered.get(key, value) for key, value in body.items() if key not in self.dropped}
            try:
                async with asyncio.timeout(self.timeout):
                    return await self.send(sent)
            except Exception as problem:
                if lower := most_allowed(problem, sent):
                    self.lowered |= dict([lower])
                    continue
                parameter = refused_parameter(problem, sent)
                if parameter is None:
                    raise self.fault(problem) from None
                self.dropped |= {parameter, *_TOGETHER.get(parameter, ())}

    def reply(self, request: Request, text: str) -> Reply:
        """Parse the reply in a text. Raises TransientError if it is malformed, for example truncated."""
        try:
            reply = self.read(request, json.loads(text))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as problem:
            reason = f"malformed reply ({type(problem).__name__}: {problem})"
            raise TransientError(clean(reason), "reply", charged=True) from None
        self.served.add(reply.model)
        return reply.changed(dropped=sorted(self.dropped)) if self.dropped else reply

    def found(self) -> dict[str, Any]:
        served = sorted(name for name in self.served if name)
        lowered = {"lowered": dict(self.lowered)} if self.lowered else {}
        return {"served": served, "dropped": sorted(self.dropped)} | lowered

    def cost(self, usage: Mapping[str, int]) -> float:
        """US dollars. Tokens without a specific price are charged as plain input."""
        price = self.entry.price
        plain = price.get("input", 0.0)
        dollars = sum(usage.get(kind, 0) * price.get(kind, plain) for kind in ("input", "cached", "write", "output"))
        return dollars / 1e6

    def max_cost(self, request: Request) -> float:
        """The maximum cost of the request in US dollars; the number of bytes bounds the number of tokens."""
        prompt = request.prompt
        messages = [message["content"] for message in prompt] if isinstance(prompt, list) else [prompt]
        tokens = sum(len(message.encode()) + _AROUND_MESSAGE for message in messages)
        price = self.entry.price
        dearest = max((price.get(kind, 0.0) for kind in ("input", "write")), default=0.0)
        return (tokens * dearest + self.longest_reply(request) * price.get("output", 0.0)) / 1e6

    def fault(self, problem: Exception) -> Exception:
        """Classify an SDK's exception: one of the three error types, or itself."""
        return fault_of(problem, self.entry.name, self.timeout)


class BatchModel(RemoteModel):
    """A remote model whose provider has a batch interface."""

    @abstractmethod
    async def submit(self, bodies: Mapping[str, dict[str, Any]], mark: str) -> str:
        """Submit a batch; replies are returned under the keys of `bodies`. Returns the batch's identifier."""

    @abstractmethod
    async def find(self, mark: str, keys: Collection[str], since: float, known: Collection[str]) -> str | None:
        """The identifier of the batch with this mark or, where batches carry none, with these keys; None if it was not
        submitted. It is younger than `since`, in seconds since 1970, and not among `known`. Raises UnlistedError.
        """

    @abstractmethod
    async def progress(self, batch: str) -> BatchProgress:
        """The progress of a batch."""

    @abstractmethod
    async def collect(self, batch: str) -> Collected:
        """The replies of a batch that has ended, under the keys given to `submit`."""


# How much the clocks of a provider and of this machine may differ, in seconds.
CLOCKS = 86_400.0


@contextmanager
def listing() -> Iterator[None]:
    """Turn the response of a server that has no list of batches into UnlistedError."""
    try:
        yield
    except Exception as problem:
        if getattr(problem, "status_code", None) in (400, 404, 405, 422, 501):
            raise UnlistedError(clean(f"the server lists no batches ({problem})")) from None
        raise


def positive(entry: ModelEntry, option: str, value: object, minimum: float) -> float:
    """Parse a numeric option. Raises RequestError if it is not a number or too small."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not minimum <= value < math.inf:
        raise RequestError(f"model '{entry.name}': {option} must be a number of at least {minimum:g}, not '{value}'")
    return float(value)


@contextmanager
def only_own_headers(entry: ModelEntry) -> Iterator[None]:
    """The SDKs add headers from the environment to every request; a user's own server must not receive a provider's."""
    names = [name for name in _SENT_FROM_ENVIRONMENT if entry.base_url and name in os.environ]
    hidden = {name: os.environ.pop(name) for name in names}
    try:
        yield
    finally:
        os.environ.update(hidden)


def checked_url(url: str) -> str:
    """A base URL without a slash at its end. Raises RequestError if it is not a URL or contains a secret."""
    url = url.strip()
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # may contain a password: not shown
        usable = False
    if re.match(r"[^/]*//[^/]*@", url) or "?" in url or "#" in url:
        raise RequestError(
            f"--base-url must not contain a key or password: set the environment variable {OWN_SERVER_KEY}"
        )
    if not usable:
        raise RequestError("--base-url must be a URL such as http://localhost:8000/v1")
    return url.rstrip("/")

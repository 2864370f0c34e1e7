"""A model behind an HTTP interface: what is common to all providers.

One question is one request. The provider's SDK sends it, without retries of its own; what goes wrong becomes one of
three errors, and whoever sends decides what to do (llm_icl/asking/sending.py).
"""

import asyncio
import json
import math
import os
import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from llm_icl.backends.base import LanguageModel, ModelEntry
from llm_icl.backends.exchange import Reply, Request
from llm_icl.backends.hosted.faults import TransientError, clean, fault_of, refused_parameter
from llm_icl.config.secrets import remember
from llm_icl.errors import RequestError

# Seconds until an answer is no longer waited for; a model that reasons takes its time.
TIMEOUT = 120.0
REASONING_TIMEOUT = 600.0
# Where the key for a server of the user's own stands. A provider's key is never sent to a server that is not theirs.
OWN_SERVER_KEY = "LLM_ICL_API_KEY"
# Parameters that make no sense without each other.
_TOGETHER = {"logprobs": ("top_logprobs",), "top_logprobs": ("logprobs",)}
_SENT_FROM_ENVIRONMENT = ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS", "ANTHROPIC_CUSTOM_HEADERS")
# Tokens that a provider puts around each message, at most.
_AROUND_MESSAGE = 16


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
    priced = True

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
        remember(key)
        if not key and variable == OWN_SERVER_KEY:
            return "none"  # a server of one's own may want none
        if not key:
            raise RequestError(
                f"model '{self.entry.name}' needs a key: put it into the environment variable {variable}"
            )
        return key

    @abstractmethod
    def body(self, request: Request) -> dict[str, Any]:
        """What is sent, as JSON data."""

    @abstractmethod
    async def send(self, body: dict[str, Any]) -> str:
        """What comes back, as text. Raises whatever the SDK raises."""

    @abstractmethod
    def read(self, request: Request, answer: Any) -> Reply:
        """The reply in the form that is kept, from the provider's JSON data. Raises KeyError, TypeError or IndexError
        where something is missing from it.
        """

    @abstractmethod
    def longest_reply(self, request: Request) -> int:
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

    async def ask(self, request: Request) -> Reply:
        """One attempt at one question. Raises one of the three errors above."""
        return self.reply(request, await self.request(self.body(request)))

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

    def reply(self, request: Request, text: str) -> Reply:
        """The reply that a text holds. Raises TransientError where it is no reply: it may have been cut."""
        try:
            reply = self.read(request, json.loads(text))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as problem:
            reason = f"the reply makes no sense ({type(problem).__name__}: {problem})"
            raise TransientError(clean(reason), "reply", charged=True) from None
        self.served.add(reply.model)
        return reply.changed(dropped=sorted(self.dropped)) if self.dropped else reply

    def found(self) -> dict[str, Any]:
        served = sorted(name for name in self.served if name)
        return {"served": served, "dropped": sorted(self.dropped)}

    def cost(self, usage: Mapping[str, int]) -> float:
        """US dollars. Tokens without a price of their own cost what plain input costs."""
        price = self.entry.price
        plain = price.get("input", 0.0)
        dollars = sum(usage.get(kind, 0) * price.get(kind, plain) for kind in ("input", "cached", "write", "output"))
        return dollars / 1e6

    def greatest_cost(self, request: Request) -> float:
        """What the question can cost at most, in US dollars: no tokenizer makes more tokens than there are bytes."""
        prompt = request.prompt
        messages = [message["content"] for message in prompt] if isinstance(prompt, list) else [prompt]
        tokens = sum(len(message.encode()) + _AROUND_MESSAGE for message in messages)
        price = self.entry.price
        dearest = max((price.get(kind, 0.0) for kind in ("input", "write")), default=0.0)
        return (tokens * dearest + self.longest_reply(request) * price.get("output", 0.0)) / 1e6

    def fault(self, problem: Exception) -> Exception:
        """What an SDK's exception means: one of the three errors, or itself."""
        return fault_of(problem, self.entry.name, self.timeout)


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

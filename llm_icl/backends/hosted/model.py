"""A model behind an HTTP API: what is common to all providers.

Requests are sent by the provider's SDK with its retries disabled. Failures become one of four error types, which
llm_icl/asking/sending.py handles.
"""

import asyncio
import json
import logging
import math
import os
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from llm_icl.backends.base import LanguageModel, ModelEntry
from llm_icl.backends.exchange import Reply, Request
from llm_icl.backends.hosted.adapting import Adaptations
from llm_icl.backends.hosted.faults import RejectedError, TransientError, clean, fault_in, fault_of, reason_for
from llm_icl.backends.hosted.reading import BadReplyError, error_in, json_of
from llm_icl.backends.hosted.reasons import reason_in, reason_of
from llm_icl.config.addresses import OWN_SERVER_KEY, is_variable
from llm_icl.config.secrets import LEAST_KEY, PLACEHOLDERS, redacted, remember
from llm_icl.errors import RequestError

log = logging.getLogger(__name__)

# Timeout in seconds; longer for reasoning models.
TIMEOUT = 120.0
REASONING_TIMEOUT = 600.0
_SENT_FROM_ENVIRONMENT = ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS", "ANTHROPIC_CUSTOM_HEADERS")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
# Variables whose blanks have been mentioned.
_STRIPPED: set[str] = set()
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
# Tokens that a provider puts around each message, at most.
_AROUND_MESSAGE = 16


@dataclass(frozen=True)
class BatchProgress:
    """The progress of a batch: whether it has ended, the numbers of finished and of answered requests, errors."""

    ended: bool
    done: int
    answered: int
    errors: str = ""


class Failure(NamedTuple):
    """Why a request in a batch has no reply: a permanent status, or `error` where it can be asked again."""

    status: str
    reason: str

    @classmethod
    def of(cls, body: Any, status: int, default: str) -> "Failure":
        """From the body of an error and its HTTP status, as a server replies it to a request alone."""
        reason = reason_of(body)
        fault = fault_in(reason, status, "")
        return cls(fault.status if isinstance(fault, RejectedError) else "error", reason.words or default)


@dataclass(frozen=True)
class Collected:
    """What can be read of an ended batch, by key: replies, and the reasons of requests without one."""

    answers: dict[str, str]
    failures: dict[str, Failure]

    @classmethod
    def read(cls, files: Iterable[bytes], ending: Callable[[Any], dict[str, Any] | Failure]) -> "Collected":
        """Read results line by line; `ending` finds the reply's body in a line, or why there is none. A line
        that is cut, or has no known form, is no reply. Of several replies to one request the first counts.

        Raises TransientError if a file is something else, such as a gateway's web page: the results may still come.
        """
        found = cls({}, {})
        texts = [content.decode(errors="replace") for content in files if content.strip()]
        if other := next((text for text in texts if "custom_id" not in text), ""):
            raise TransientError(clean(f"no results of a batch: {reason_in(other).words}"), "reply")
        for line in "\n".join(texts).split("\n"):  # splitlines() splits at more, which texts may hold
            try:
                entry = json_of(line)
                name, ended = str(entry["custom_id"]), ending(entry)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                continue
            if isinstance(ended, Failure):
                found.failures[name] = ended
            else:
                found.answers.setdefault(name, json.dumps(ended))
        return found


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
        self.adaptations = Adaptations()
        # The names by which replies of this process call the model; and whether there are any of earlier ones.
        self.served: set[str] = set()
        self.answered_earlier = False
        variable_of(entry, self.options.get("key") or entry.key)
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

    # The environment variable that holds the key of this provider.
    key_variable: str
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

    @classmethod
    def here(cls) -> str:
        variables = dict.fromkeys((cls.key_variable, OWN_SERVER_KEY))  # the second is for --base-url
        return ", ".join(f"{name} is {'' if os.environ.get(name) else 'not '}set" for name in variables)

    def secret(self) -> str:
        """The key, from the environment. Raises RequestError, with the variable's name, if it is not set or no key."""
        variable = variable_of(self.entry, self.options.get("key") or self.entry.key)
        if not variable:
            variable = OWN_SERVER_KEY if self.entry.base_url else self.key_variable
        given = os.environ.get(variable, "")
        key = given.strip()
        remember(given)
        remember(key)
        if not key and variable == OWN_SERVER_KEY:
            return "none"  # a user's own server may need no key
        if not key:
            raise RequestError(f"model '{self.entry.name}' needs an API key: set the environment variable {variable}")
        if not (key.isascii() and key.isprintable()):
            raise RequestError(f"{variable} does not hold an API key: it has characters that no key has")
        if len(key) < LEAST_KEY and key.lower() not in PLACEHOLDERS:
            raise RequestError(f"{variable} is too short for an API key: where a server needs none, set it to 'none'")
        if key != given and variable not in _STRIPPED:
            _STRIPPED.add(variable)
            log.warning("%s: blanks around the key are left out", variable)
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
        """One attempt at one request. Raises one of the four error types."""
        return self.reply(request, await self.request(self.body(request)))

    async def request(self, body: dict[str, Any]) -> str:
        """One request, in the form that the server takes."""
        while True:
            sent = self.adaptations.applied(body)
            try:
                async with asyncio.timeout(self.timeout):
                    return await self.send(sent)
            except Exception as problem:
                status = getattr(problem, "status_code", None)
                raised = dict(self.adaptations.raised)
                if not isinstance(status, int) or not self.adaptations.learn(reason_for(problem), status, sent):
                    raise self.fault(problem) from None
                if raised != self.adaptations.raised:  # a longer reply may cost more than was set aside
                    raise TransientError(f"the least limit of a reply is higher ({problem})", "parameter") from None

    def reply(self, request: Request, text: str) -> Reply:
        """Parse the reply in a text. Raises one of the four error types if it is not an answer."""
        answer = None
        try:
            answer = json_of(text)
            if not isinstance(answer, dict):
                raise BadReplyError("it is not an object")
            reply = self.read(request, answer)
        except BadReplyError as reason:
            raise self._no_answer(text, answer, str(reason)) from None
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError):
            raise self._no_answer(text, answer, "it has another form") from None
        dropped = sorted(self.adaptations.dropped)
        reply = Reply(**redacted(reply.data() | ({"dropped": dropped} if dropped else {})))
        self.served.add(reply.model)
        return reply

    def _no_answer(self, text: str, answer: Any, why: str) -> Exception:
        """The error that a reply without an answer stands for."""
        if not text.strip():
            return TransientError("an empty reply", "reply", charged=True)
        if answer is None and text.lstrip("\ufeff \n\r\t")[:1] in ("{", "["):
            return TransientError("malformed reply: it is cut off or not JSON", "reply", charged=True)
        reason = error_in(answer) if isinstance(answer, dict) else reason_in(text)
        if not reason.words:
            return TransientError(clean(f"malformed reply: {why}"), "reply", charged=True)
        return fault_in(reason, 200, self.entry.name)

    def found(self) -> dict[str, Any]:
        return {"served": sorted(name for name in self.served if name)} | self.adaptations.record()

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
        return (
            tokens * dearest
            + max(self.longest_reply(request), *self.adaptations.raised.values(), 0) * price.get("output", 0.0)
        ) / 1e6

    def fault(self, problem: Exception) -> Exception:
        """Classify an SDK's exception: one of the four error types, or itself."""
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


def variable_of(entry: ModelEntry, name: object) -> str:
    """The name of the environment variable that holds a key. Raises RequestError, without repeating it, for a key."""
    if name and not is_variable(name):
        raise RequestError(
            f"model '{entry.identifier}': 'key' must be the name of the environment variable that holds the key, "
            f"such as {OWN_SERVER_KEY}, not the key itself"
        )
    return str(name or "")


def positive(entry: ModelEntry, option: str, value: object, minimum: float) -> float:
    """Parse a numeric option. Raises RequestError if it is not a number or too small."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not minimum <= value < math.inf:
        raise RequestError(f"model '{entry.name}': {option} must be a number of at least {minimum:g}, not '{value}'")
    return float(value)


@contextmanager
def connecting(entry: ModelEntry) -> Iterator[None]:
    """While an SDK makes its client. It adds headers from the environment to every request, and a user's own server
    must not receive a provider's. Raises RequestError if certificates or a proxy of the environment cannot be used.
    """
    names = [name for name in _SENT_FROM_ENVIRONMENT if entry.base_url and name in os.environ]
    hidden = {name: os.environ.pop(name) for name in names}
    try:
        yield
    except OSError as problem:  # also of ssl
        given = {name: os.environ.get(name) for name in _CERTIFICATES}
        named = [f"{name}={path}" for name, path in given.items() if path and not Path(path).exists()]
        named = named or [f"{name}={path}" for name, path in given.items() if path]
        raise RequestError(
            clean(f"certificates cannot be read ({' and '.join(named) or 'the default ones'}): {problem.strerror}")
        ) from None
    except ValueError as problem:
        named = [name for name in os.environ if name.lower() in _PROXIES]
        raise RequestError(
            clean(f"no connection can be made{f': check {chr(32).join(named)}' if named else ''} ({problem})")
        ) from None
    finally:
        os.environ.update(hidden)

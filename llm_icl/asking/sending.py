"""Sends requests to a remote model: concurrently, with retries. Each is on disk before it is sent, and its
reply when it arrives.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from llm_icl.asking.attempts import USUAL, Attempts, Patience
from llm_icl.asking.budget import Budget, BudgetError
from llm_icl.asking.cache import Call, CallCache
from llm_icl.asking.channels import OnCalls
from llm_icl.asking.intents import Ending, Intent
from llm_icl.asking.interruption import signals
from llm_icl.asking.journal import ElsewhereError, Journal
from llm_icl.asking.limiter import MOST, Limiter
from llm_icl.asking.modes import MODES
from llm_icl.backends.exchange import Reply, Request
from llm_icl.backends.hosted.faults import HopelessError, RejectedError, TransientError, UnusableError
from llm_icl.backends.hosted.model import RemoteModel
from llm_icl.config.specs import counted
from llm_icl.errors import BudgetSpentError, WorkError

log = logging.getLogger(__name__)
T = TypeVar("T")

# Seconds. A server that asks for a longer wait than the second stops the run.
_BETWEEN_REPORTS = 0.5
_TOO_LONG = 900.0
# Seconds between looks for the reply to a request that another process has in flight.
_BETWEEN_LOOKS = 0.25
# No prompt or reply has so many tokens.
_ABSURD = 10**6
# After this many consecutive requests without a reply the server counts as unreachable.
_GONE = 10
# Attempts at faults that pass if anything has been answered before; where nothing has, they are likely to stay.
_FEW = {"reply": 3, "timeout": 3, "server": 5, "connection": 5}


class Sender:
    """The channel to a remote model, kept open between sets of requests."""

    def __init__(
        self,
        model: RemoteModel,
        cache: CallCache,
        account: str,
        budget: Budget,
        at_once: int | None = None,
        patience: Patience = USUAL,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.model = model
        self.retries: dict[str, int] = {}
        # The number of questions that another process has in flight, and of replies that it got.
        self._elsewhere = 0
        self.shared = 0
        self.journal = Journal(cache, account)
        self._budget = budget
        self._attempts = Attempts(model.entry.name, patience, sleep)
        self._limiter = Limiter(at_once)
        self._runner = asyncio.Runner()
        self._is_open = False
        self._alive = max(MOST, at_once or 0)
        self._first = asyncio.Lock()
        self._stop: BaseException | None = None
        self._without_answer = 0
        # The most that a reply cost, where that is more than could be.
        self._dearest = 0.0

    def send(self, requests: Mapping[str, Request], on_calls: OnCalls) -> dict[str, Reply]:
        """The reply to each request, by key; a failure is a reply with a status and a message.

        A fatal error raises WorkError, with what to do, after all requests in flight have returned; a signal that asks
        to end raises KeyboardInterrupt after that.
        """
        replies = self._runner.run(self._send_all(requests, on_calls))
        if isinstance(self._stop, HopelessError):
            raise WorkError(str(self._stop)) from None
        if self._stop:
            raise self._stop
        return replies

    def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run other work over the same channel, with retries. Raises WorkError, because of the last fault, if they
        fail.
        """

        async def do() -> T:
            await self._open()
            try:
                return await self._attempts.again(lambda: self._translated(work))
            except (TransientError, RejectedError, HopelessError) as problem:
                raise WorkError(f"{self.model.entry.name}: {problem}") from problem

        return self._runner.run(do())

    async def _translated(self, work: Callable[[], Awaitable[T]]) -> T:
        try:
            return await work()
        except Exception as problem:
            raise self.model.fault(problem) from None

    def close(self) -> None:
        if self._is_open:
            self._runner.run(self.model.aclose())
        self._runner.close()
        self.journal.close()

    async def _open(self) -> None:
        if not self._is_open:
            await self.model.open()
            self._is_open = True

    async def _send_all(self, requests: Mapping[str, Request], on_calls: OnCalls) -> dict[str, Reply]:
        await self._open()
        room = asyncio.Semaphore(self._alive)
        replies: dict[str, Reply] = {}
        reported = 0

        def report() -> None:
            nonlocal reported
            on_calls(len(replies) - reported, self._state())
            reported = len(replies)

        async def watch() -> None:
            while True:
                report()
                await asyncio.sleep(_BETWEEN_REPORTS)

        async def one(key: str, request: Request) -> None:
            try:
                reply = await self._answer(key, request)
                if reply is not None:
                    replies[key] = reply
            except Exception as problem:  # such as a full disk: send nothing that cannot be saved
                self._halt(problem)
            finally:
                room.release()

        tasks: set[asyncio.Task[None]] = set()

        def cancel() -> None:
            for task in tasks:
                task.cancel()

        def on_signal(count: int) -> None:
            if count > 1:
                cancel()
                return
            self._halt(KeyboardInterrupt())
            asyncio.get_running_loop().call_later(self.model.timeout, cancel)
            log.warning(
                "interrupted: waiting for %s in flight, at most %.0f s; interrupt again to end at once",
                counted(self._limiter.in_flight, "request"),
                self.model.timeout,
            )

        watching = asyncio.create_task(watch())
        try:
            with signals(on_signal):
                for key, request in requests.items():
                    await room.acquire()
                    if self._stop:
                        break
                    task = asyncio.create_task(one(key, request))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                while tasks:
                    await asyncio.wait(tasks)
        finally:
            watching.cancel()
            cancel()
            await self.journal.settled()
            report()
        return replies

    async def _answer(self, key: str, request: Request) -> Reply | None:
        """A committed reply, or a permanent failure; None if the work must stop."""
        try:
            reply = await self._first_alone(
                lambda: self._attempts.again(lambda: self._attempt(key, request), self._most_attempts)
            )
        except RejectedError as problem:
            if problem.status == "error" and not (self.model.served or self.model.answered_earlier):
                # No request has ever succeeded: the error concerns all requests.
                self._halt(HopelessError(f"{self.model.entry.name}: {problem}"))
            return Reply(status=problem.status, message=str(problem))
        except (TransientError, UnusableError) as problem:
            self._without_answer += 1
            if isinstance(problem, TransientError) and not self.model.served:
                self._halt(
                    HopelessError(
                        f"{self.model.entry.name}: nothing has been answered ({problem}): "
                        "re-running the command tries again"
                    )
                )
            if self._without_answer >= _GONE:
                got = "no usable reply" if isinstance(problem, UnusableError) else "no reply"
                self._halt(
                    HopelessError(
                        f"{self.model.entry.name}: {_GONE} requests in a row got {got} ({problem}): "
                        "re-running the command resumes it"
                    )
                )
            return Reply(status="error", message=str(problem))
        except HopelessError as problem:
            self._halt(problem)
            return None
        except BudgetError:
            unknown = self.model.priced and not self.model.entry.price  # an own server costs nothing
            self._halt(
                BudgetSpentError(
                    f"stopped before the limit of {self._budget}: {counted(self._budget.calls, 'call')} cost "
                    f"{'what is not known' if unknown else f'${self._budget.cost:.4f}'}; re-run the command with a "
                    "higher limit to resume"
                )
            )
            return None
        self._without_answer = 0
        return reply

    def _halt(self, problem: BaseException) -> None:
        """Send nothing more, for this reason; requests in flight are waited for."""
        self._stop = self._stop or problem
        self._attempts.stopped.set()

    async def _first_alone(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Until something has been answered, one question at a time: what is wrong for all of them is found with it."""
        async with self._first:  # which keeps the order of the questions
            if not self.model.served:
                return await ask()
        return await ask()

    def _most_attempts(self, problem: BaseException | None) -> int:
        """Fewer where nothing has been answered yet, and for replies that may be charged without being answers."""
        kind, most = problem.kind if isinstance(problem, TransientError) else "", self._attempts.patience.attempts
        return min(_FEW.get(kind, most), most) if kind == "reply" or not self.model.served else most

    async def _attempt(self, key: str, request: Request) -> Reply:
        while True:
            mark = await self._place()
            limiter, budget = self._limiter, self._budget
            held = max(self.model.max_cost(request), self._dearest)
            overloaded = answered = False
            try:
                await budget.hold(held)
                try:
                    ending, known = await self._begin(Intent(key, held))
                except BaseException:
                    budget.settle(held, None)
                    raise
                if known is not None:
                    budget.settle(held, None)
                    self.shared += 1
                    self.model.served.add(known.model)
                    return known
                try:
                    reply = await self.model.ask(request)
                    answered = True
                    cost = self.cost(reply, held)
                    if fault := MODES[request.mode].fault(reply):
                        ending = Ending(ending.intent, cost)
                        raise UnusableError(fault)
                    ending = Ending(ending.intent, cost, Call(key, request.data(), reply))
                except TransientError as problem:
                    self._count(problem)
                    overloaded = problem.kind == "overload"
                    if not problem.charged:
                        ending = Ending(ending.intent)
                    elif problem.kind == "reply":  # it came, and cannot be read
                        ending = Ending(ending.intent, held)
                    if problem.wait is not None and problem.wait > _TOO_LONG:
                        raise HopelessError(
                            f"{self.model.entry.name}: the server requests a wait of {problem.wait:.6g} s "
                            f"({problem}): re-run the command after that to resume"
                        ) from None
                    if overloaded and problem.wait:
                        limiter.pause(problem.wait)
                    raise
                except (RejectedError, HopelessError):
                    ending = Ending(ending.intent)
                    raise
                finally:
                    budget.settle(held, held if ending.unknown else ending.cost)
                    # Before another request takes the slot: never are more intents open on disk than there are slots.
                    saved = self.journal.end(ending)
            except ElsewhereError:
                pass
            finally:
                limiter.leave(mark, overloaded, answered)
            if answered:
                await saved
                return reply
            self._elsewhere += 1
            try:
                await self._attempts.rest(_BETWEEN_LOOKS)
            finally:
                self._elsewhere -= 1

    async def _begin(self, intent: Intent) -> tuple[Ending, Reply | None]:
        """Commit an intent. Returns its ending as long as nothing else is known, or the reply that another process has
        got.
        """
        try:
            known = await self.journal.intend(intent)
        except asyncio.CancelledError:
            self.journal.end(Ending(intent))  # it may be on disk, but was not sent
            raise
        if known is None and self._stop:
            self.journal.end(Ending(intent))
            raise HopelessError(str(self._stop))
        return Ending(intent, unknown=True), known

    def cost(self, reply: Reply, held: float) -> float:
        """What a reply cost. Where the provider counts no tokens, or absurd ones, what was held for it stands. Where a
        reply cost more, as reasoning may that a server does not limit, so much is held for others from then on.
        """
        usage = reply.usage or {}
        if any(isinstance(n, bool) or not isinstance(n, int) or not 0 <= n < _ABSURD for n in usage.values()):
            return held
        read, written = sum(usage.get(kind, 0) for kind in ("input", "cached", "write")), usage.get("output", 0)
        if not read or (reply.text and not written):
            return held
        cost = self.model.cost(usage)
        if cost > held:
            if not self._dearest:
                log.warning(
                    "%s: the server counts more tokens than it was sent and allowed (%s read, %s written): limits may "
                    "be exceeded by what is in flight",
                    self.model.entry.name, f"{read:,}", f"{written:,}",
                )  # fmt: skip
            self._dearest = max(self._dearest, cost)
        return cost

    async def _place(self) -> int:
        """A slot of the limiter, after any pause requested by the server."""
        while True:
            if pause := self._limiter.paused_for:
                await self._attempts.rest(pause)
            mark = await self._limiter.enter()
            if not self._limiter.paused_for and not self._stop:
                return mark
            self._limiter.leave(mark, overloaded=False, answered=False)
            if self._stop:
                raise HopelessError(str(self._stop))

    def _count(self, problem: TransientError) -> None:
        self.retries[problem.kind] = self.retries.get(problem.kind, 0) + 1

    def _state(self) -> str:
        """A status text: 12 in flight, 2 in flight of another process, 3 waiting (HTTP 429: …; next in 8 s)."""
        states = [f"{'stopping, ' if self._stop else ''}{self._limiter.in_flight} in flight"]
        states += [f"{self._elsewhere} in flight of another process"] if self._elsewhere else []
        return ", ".join([*states, self._attempts.waiting] if self._attempts.waiting else states)

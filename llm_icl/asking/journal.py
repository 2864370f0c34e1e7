"""The journal of a channel: intents and endings, committed in groups while requests are in flight.

A commit costs as much processor time as a call, so those of a moment share one. What comes first is committed first, or
together: never are more intents open on disk than requests may be in flight.
"""

import asyncio

from llm_icl.asking.cache import CallCache
from llm_icl.asking.intents import Ending, Intent, Intents
from llm_icl.asking.room import Room
from llm_icl.backends.exchange import Reply

# Entries within this many seconds are committed together.
_MOMENT = 0.002


class ElsewhereError(Exception):
    """Another process has the same request in flight."""


_Entry = tuple[Intent | Ending, asyncio.Future[Reply | None]]


class Journal:
    """What it returns is on disk once it is awaited. That raises RequestError where the disk takes nothing more."""

    def __init__(self, cache: CallCache, account: str) -> None:
        self._path = cache.database.path
        self._intents = Intents(cache, account)
        self._room: Room | None = None
        self._broken: Exception | None = None
        self._waiting: list[_Entry] = []
        self._writing: asyncio.Task[None] | None = None

    @property
    def asker(self) -> str:
        return self._intents.asker

    def intend(self, intent: Intent) -> asyncio.Future[Reply | None]:
        """Commit an intent: its request may then be sent. A result is the reply that another process has got by now.

        Raises ElsewhereError while another process has the same request in flight.
        """
        return self._enter(intent)

    def end(self, ending: Ending) -> asyncio.Future[Reply | None]:
        """Commit what became of a request."""
        return self._enter(ending)

    async def settled(self) -> None:
        """Wait until all is on disk, or cannot be."""
        while self._writing is not None:
            await asyncio.shield(self._writing)

    def close(self) -> None:
        """What is still in flight has an unknown outcome."""
        if self._room is not None:
            self._room.give_up()
        self._intents.close()

    def _enter(self, entry: Intent | Ending) -> asyncio.Future[Reply | None]:
        written: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, written))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        return written

    async def _write(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(_MOMENT)
                group, self._waiting = self._waiting, []
                endings = [entry for entry, _ in group if isinstance(entry, Ending)]
                intents = [entry for entry, _ in group if isinstance(entry, Intent)]
                try:
                    withheld = await asyncio.to_thread(self._record, endings, intents)
                except Exception as problem:  # such as a full disk
                    self._broken = problem
                    self._rescue(endings, group)
                else:
                    for entry, written in group:
                        _tell(written, withheld, entry)
        finally:
            self._writing = None

    def _record(self, endings: list[Ending], intents: list[Intent]) -> dict[str, Reply | None]:
        if intents:
            if self._broken:
                raise self._broken
            self._room = self._room or Room(self._path)
            self._room.check()
        return self._intents.record(endings, intents)

    def _rescue(self, endings: list[Ending], group: list[_Entry]) -> None:
        """Nothing is sent any more. What has been answered takes the room that was set aside."""
        if self._room is not None:
            self._room.give_up()
        try:
            self._intents.record(endings, [])
            kept = True
        except Exception:
            kept = False
        for entry, written in group:
            if kept and isinstance(entry, Ending):
                _tell(written, {}, entry)
            elif not written.done():
                assert self._broken is not None
                written.set_exception(self._broken)
                written.exception()  # not all are awaited


def _tell(written: asyncio.Future[Reply | None], withheld: dict[str, Reply | None], entry: Intent | Ending) -> None:
    if written.done():  # cancelled
        return
    if isinstance(entry, Intent) and entry.id in withheld and withheld[entry.id] is None:
        written.set_exception(ElsewhereError())
        return
    written.set_result(withheld.get(entry.id) if isinstance(entry, Intent) else None)

"""Signals that ask a process to end, while requests are in flight: the first stops the sending, the second all work."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

ASK_TO_END = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Seconds. A scheduler, and a terminal that is closed, may tell a process more than once (Slurm: a job's step, and its
# srun again): these are one signal. A person who presses Ctrl-C twice means it.
_ONE_VOLLEY = 2.0


@contextmanager
def signals(on_signal: Callable[[int], None]) -> Iterator[None]:
    """Call `on_signal` with the number of signals so far, in the running loop; a volley of them counts once. After the
    second, signals do what they did before. A signal that is ignored stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    import asyncio  # not for commands that send nothing

    loop, count, last = asyncio.get_running_loop(), 0, 0.0
    before = {number: signal.getsignal(number) for number in ASK_TO_END}
    ours = [number for number, handler in before.items() if handler not in (signal.SIG_IGN, None)]

    def restore() -> None:
        for number in ours:
            signal.signal(number, before[number])

    def handle(number: int, frame: Any) -> None:
        nonlocal count, last
        if count and time.monotonic() - last < _ONE_VOLLEY and number != signal.SIGINT:
            return
        count, last = count + 1, time.monotonic()
        if count == 2:
            restore()
        loop.call_soon_threadsafe(on_signal, count)

    for number in ours:
        signal.signal(number, handle)
    try:
        yield
    finally:
        restore()

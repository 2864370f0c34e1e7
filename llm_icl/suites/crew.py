"""Workers that train the networks of a suite: processes on this machine, or a cluster."""

import multiprocessing
import os
import signal
from abc import ABC, abstractmethod
from collections import deque
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

from llm_icl.experiments.training.request import TrainingRequest


class Crew(ABC):
    """Executes training runs concurrently, each in its own folder. A context manager."""

    @abstractmethod
    def give(self, name: str, request: TrainingRequest, folder: Path) -> None:
        """Add a run to the queue."""

    @abstractmethod
    def finished(self) -> bool:
        """Whether all runs have ended."""

    @abstractmethod
    def failures(self) -> dict[str, str]:
        """The reasons of failures, by name."""

    def __enter__(self) -> "Crew":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @abstractmethod
    def stop(self) -> None:
        """Stop all active runs."""


def train_one(request: TrainingRequest, folder: Path) -> str:
    """Train one network. Returns a one-line reason on failure, else an empty string. Stops if the parent process has
    died.
    """
    from llm_icl.experiments.training.experiment import Training

    def on_progress(what: str, done: int, whole: int) -> None:
        if parent is not None and not parent.is_alive():
            raise SystemExit

    parent = multiprocessing.parent_process()
    try:
        Training(request).run(folder, on_progress)
    except Exception as problem:  # any error: other runs continue
        return str(problem) or "no reason is known"
    return ""


class LocalCrew(Crew):
    """Processes on this machine, each with its own GPU if there are GPUs."""

    def __init__(self, at_once: int | None = None) -> None:
        """By default one process per GPU, or per core without GPUs."""
        import torch

        count = torch.cuda.device_count()
        shown = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(count)))
        gpus = shown.split(",")[:count]
        self._devices: deque[str] = deque(gpus[i % count] if gpus else "" for i in range(at_once or count or _cores()))
        self._threads = max(1, _cores() // len(self._devices))
        # A fork server with preloaded libraries: processes start quickly.
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["llm_icl.experiments.training.run"])
        self._waiting: deque[tuple[str, TrainingRequest, Path]] = deque()
        self._running: dict[str, Any] = {}
        self._failed: dict[str, str] = {}

    def give(self, name: str, request: TrainingRequest, folder: Path) -> None:
        self._waiting.append((name, request, folder))

    def finished(self) -> bool:
        for name, (process, answers, device) in list(self._running.items()):
            if process.is_alive():
                continue
            process.join()
            try:
                answer = answers.recv()
            except EOFError:
                answer = f"its process ended ({process.exitcode})"
            if answer:
                self._failed[name] = answer
            self._devices.append(device)
            del self._running[name]
        while self._waiting and self._devices:
            name, request, folder = self._waiting.popleft()
            device = self._devices.popleft()
            answers, answer = self._context.Pipe(duplex=False)
            process = self._context.Process(
                target=_in_process, args=(request, folder, device, self._threads, answer), daemon=True
            )
            process.start()
            answer.close()
            self._running[name] = (process, answers, device)
        return not self._running and not self._waiting

    def failures(self) -> dict[str, str]:
        return self._failed

    def stop(self) -> None:
        for process, _, _ in self._running.values():
            process.terminate()
            process.join()


def _in_process(request: TrainingRequest, folder: Path, device: str, threads: int, answer: Connection) -> None:
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the parent, which stops this process
    if device:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    torch.set_num_threads(threads)
    answer.send(train_one(request, folder))


def _cores() -> int:
    return len(os.sched_getaffinity(0))

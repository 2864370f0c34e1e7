"""Runs that die while requests are in flight, at random moments, against a server that counts: what was answered,
stored, asked again and counted. Writes docs/design/deaths.md.

Arguments: the number of deaths of each kind (20), and the kinds and protocols to try (all). A full disk needs a small
one, which only root can mount.
"""

import contextlib
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from llm_icl.asking.cache import CallCache
from tests.servers.provider import Provider

PAGE = Path(__file__).parents[2] / "docs" / "design" / "deaths.md"
MODELS = {"OpenAI": "gpt-4.1", "Anthropic": "claude-sonnet-5.5"}
CONCURRENCY = ("1", "8", "64", "auto")
# 120 positions; a few of their prompts are the same.
ASKED = "--task majority --n 8 --points 12 --problems 10 --no-shuffled-labels --learner majority-label".split()
SUITE = """
matrix: {model: [MODEL], task: [majority], n: [8]}
points: 12
problems: 10
shuffled-labels: false
learner: majority-label
"""
LATENCY = 0.04
LIMIT = 60
_DISK = 96  # MiB
_PATIENCE = 60.0

Process = Any


@dataclass(frozen=True)
class Death:
    """`strike` ends a process in a folder; `prepare` is called in the process before it starts."""

    name: str
    strike: Callable[[Process, Path, random.Random], None]
    prepare: Callable[[Path, int], None] | None = None
    suite: bool = False
    on_small_disk: bool = False


def _signal(number: int) -> Callable[[Process, Path, random.Random], None]:
    def strike(process: Process, folder: Path, chance: random.Random) -> None:
        os.kill(process.pid, number)

    return strike


def _twice(process: Process, folder: Path, chance: random.Random) -> None:
    os.kill(process.pid, signal.SIGINT)
    time.sleep(0.01 + 0.04 * chance.random())
    if process.is_alive():
        os.kill(process.pid, signal.SIGINT)


def _fill(process: Process, folder: Path, chance: random.Random) -> None:
    with (folder.parent / "filler").open("wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(folder).free)
        file.seek(0, os.SEEK_END)
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))


def _limit_files(folder: Path, seed: int) -> None:
    """As `ulimit -f` does; reached in the middle, since 8 MiB are kept free."""
    sizes = [path.stat().st_size for path in folder.glob("calls.sqlite*")]
    most = 8 * 2**20 + max(sizes, default=0) + random.Random(seed).randrange(50_000, 250_000)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def _no_memory(process: Process, folder: Path, chance: random.Random) -> None:
    status = Path(f"/proc/{process.pid}/status").read_text()
    used = 1024 * int(next(line for line in status.splitlines() if line.startswith("VmSize")).split()[1])
    resource.prlimit(process.pid, resource.RLIMIT_AS, (used + chance.randrange(200_000), resource.RLIM_INFINITY))


def _nothing(process: Process, folder: Path, chance: random.Random) -> None:
    """It ends by itself."""


DEATHS = [
    Death("SIGINT", _signal(signal.SIGINT)),
    Death("SIGTERM", _signal(signal.SIGTERM)),
    Death("SIGINT twice", _twice),
    Death("kill -9", _signal(signal.SIGKILL)),
    Death("disk full", _fill, on_small_disk=True),
    Death("ulimit -f", _nothing, prepare=_limit_files),
    Death("out of memory", _no_memory),
    Death("SIGINT of a suite", _signal(signal.SIGINT), suite=True),
    Death("kill -9 of a suite", _signal(signal.SIGKILL), suite=True),
]


@dataclass
class Outcome:
    """What happened in one setting, over all deaths."""

    deaths: int = 0
    answered: int = 0
    stored: int = 0
    lost: list[int] = field(default_factory=list)
    known: int = 0
    again: int = 0
    counted: int = 0
    equal: bool = True
    passed: int = 0
    faults: list[str] = field(default_factory=list)


class Runs:
    """Starts of one command, with one server."""

    def __init__(self, provider: Provider, model: str, death: Death, concurrency: str, folder: Path) -> None:
        self.provider, self.model, self.death, self.concurrency = provider, model, death, concurrency
        self.folder = folder
        folder.mkdir(parents=True)
        (folder / "mine.yaml").write_text(SUITE.replace("MODEL", model))
        provider.received.clear()

    def start(self, *more: str, seed: int = 0, disturbed: bool = True) -> Process:
        asked = ["run", "mine.yaml"] if self.death.suite else ["eval", "--model", self.model, *ASKED]
        command = [*asked, "--out", "run", "--concurrency", self.concurrency, *more]
        prepare = self.death.prepare if disturbed else None
        process = FORKS.Process(target=_child, args=(command, self.folder, self.provider.url, prepare, seed))
        process.start()
        return process

    def die(self, chance: random.Random, *more: str) -> int | None:
        """One start that dies; returns its exit status if it ended before that."""
        before = len(self.provider.received)
        goal = chance.randrange(1, 90)
        process = self.start(*more, seed=chance.randrange(2**30))
        _wait(lambda: len(self.provider.received) - before >= goal or not process.is_alive())
        time.sleep(LATENCY * chance.random())
        ended = not process.is_alive() and self.death.strike is not _nothing
        if not ended:
            self.death.strike(process, self.folder, chance)
        process.join(_PATIENCE)
        if process.is_alive():
            process.kill()
            process.join()
            print(f"{self.death.name}: did not end by itself", file=sys.stderr)
        (self.folder.parent / "filler").unlink(missing_ok=True)
        time.sleep(1.5 * LATENCY)  # what is in flight arrives
        return process.exitcode if ended or process.exitcode == 0 else None

    def state(self) -> tuple[int, int, int]:
        """Stored replies, requests with an unknown outcome, and those that count against limits."""
        from llm_icl.asking.intents import bury

        if not (self.folder / "calls.sqlite").exists():
            return 0, 0, 0
        cache = CallCache(self.folder / "calls.sqlite")
        bury(cache)
        ((stored,),) = cache.database.rows("SELECT COUNT(*) FROM calls")
        found = stored, cache.unanswered("run")[1], cache.spent("run")[1]
        cache.close()
        return found

    def predictions(self) -> pl.DataFrame:
        frames = [pl.read_parquet(path) for path in self.folder.glob("run/**/predictions.parquet")]
        return pl.concat(frames).filter(pl.col("learner") == self.model)


def _child(command: list[str], folder: Path, url: str, prepare: Callable[[Path, int], None] | None, seed: int) -> None:
    from llm_icl.cli.main import main
    from llm_icl.experiments.evaluation.experiment import Evaluation
    from llm_icl.experiments.evaluation.run import EvaluationRun
    from llm_icl.reports import vega

    os.chdir(folder)
    # What comes after the calls is more expensive than they are.
    EvaluationRun._algorithms = lambda run: []  # type: ignore[method-assign]
    Evaluation.report = lambda runs: None  # type: ignore[method-assign, assignment]
    vega.start = lambda: None
    sys.modules["llm_icl.cli.showing"].show = lambda *given, **named: None  # type: ignore[attr-defined]
    os.environ |= {"OPENAI_BASE_URL": f"{url}/v1", "ANTHROPIC_BASE_URL": url}
    os.environ |= {"OPENAI_API_KEY": "a-key-of-nobody", "ANTHROPIC_API_KEY": "a-key-of-nobody"}
    for stream, name in ((1, "/dev/null"), (2, os.environ.get("DEATHS_LOG", "/dev/null"))):
        os.dup2(os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT), stream)
    if prepare is not None:
        prepare(folder, seed)
    sys.argv = ["llm-icl", *command]
    main()


# A start of a process that has loaded its packages takes a tenth of the time.
FORKS = multiprocessing.get_context("forkserver")
PRELOADED = [
    "torch", "aiohttp", "httpx_aiohttp", "httpcore2", "openai.resources.chat", "anthropic.resources", "jinja2.sandbox",
    "llm_icl.backends.transformers", "llm_icl.learners", "llm_icl.experiments.asker", "llm_icl.experiments.calling",
    "llm_icl.tasks.drawing", "llm_icl.experiments.evaluation.run", "llm_icl.experiments.evaluation.experiment",
    "llm_icl.reports.vega", "llm_icl.cli.main", "llm_icl.cli.experiment", "llm_icl.cli.run", "llm_icl.cli.showing",
]  # fmt: skip


def measure(provider: Provider, death: Death, model: str, concurrency: str, folder: Path, deaths: int, seed: int,
            expected: pl.DataFrame) -> Outcome:  # fmt: skip
    """Deaths in as many folders as it takes; each run is then finished."""
    found, chance = Outcome(), random.Random(seed)
    while found.deaths < deaths:
        runs = Runs(provider, model, death, concurrency, folder / f"{found.deaths}")
        finished = False
        while found.deaths < deaths and not finished:
            sent, (stored, known, _) = len(provider.received), runs.state()
            finished = runs.die(chance) == 0
            if finished:
                break
            found.deaths += 1
            now_stored, now_known, counted = runs.state()
            answered = len(provider.received) - sent
            lost = answered - (now_stored - stored)
            found.lost.append(lost)
            found.stored += now_stored - stored
            if lost > now_known - known:
                found.faults.append(f"{lost} lost, {now_known - known} known")
            if len(provider.received) > counted:
                found.faults.append(f"{len(provider.received)} answered, {counted} counted")
            if lost > (256 if concurrency == "auto" else int(concurrency)):
                found.faults.append(f"{lost} lost")
        process = runs.start(disturbed=False)
        process.join()
        found.known += runs.state()[1]
        found.counted += runs.state()[2]
        found.answered += len(provider.received)
        found.again += sum(provider.prompts().values()) - len(provider.prompts())
        found.equal = found.equal and process.exitcode == 0 and runs.predictions().equals(expected)
        _forget(runs.folder)
    runs = Runs(provider, model, death, concurrency, folder / "limited")
    for _ in range(6):
        if runs.die(chance, "--max-calls", str(LIMIT)) is not None:
            break
    runs.start("--max-calls", str(LIMIT), disturbed=False).join()
    found.passed = len(provider.received)
    _forget(runs.folder)
    return found


def _forget(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + _PATIENCE
    while not condition() and time.monotonic() < end:
        time.sleep(0.002)


@contextlib.contextmanager
def small_disk() -> Iterator[Path | None]:
    """A disk of its own; None where it cannot be mounted."""
    with tempfile.TemporaryDirectory() as place:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK}m", "none", place]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            yield None
            return
        try:
            yield Path(place)
        finally:
            subprocess.run(["umount", "--lazy", place], check=False)


HEAD = [
    "death", "protocol", "in flight", "deaths", "answered", "stored at death",
    "lost at one death, at most",
    "known as perhaps paid", "asked again", "counted against limits",
    f"answered with `--max-calls {LIMIT}`", "predictions",
]  # fmt: skip


def row(death: Death, protocol: str, concurrency: str, found: Outcome) -> str:
    cells = [
        death.name, protocol, concurrency, found.deaths, found.answered, found.stored, max(found.lost), found.known,
        found.again, found.counted, found.passed, "equal" if found.equal else "**differ**",
    ]  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


def main() -> None:
    deaths = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    chosen = set(sys.argv[2:])
    kinds = [death for death in DEATHS if death.name in chosen or chosen <= set(MODELS)]
    protocols = [protocol for protocol in MODELS if protocol in chosen or not chosen & set(MODELS)]
    FORKS.set_forkserver_preload(PRELOADED)
    provider = Provider()
    lines, faults = ["| " + " | ".join(HEAD) + " |", "| " + " | ".join("---" for _ in HEAD) + " |"], []
    with tempfile.TemporaryDirectory() as place, small_disk() as disk:
        expected = {}
        for model in MODELS.values():
            runs = Runs(provider, model, DEATHS[0], "64", Path(place) / f"undisturbed-{model}")
            runs.start().join()
            expected[model] = runs.predictions()
        provider.latency = LATENCY
        for death in kinds:
            if death.on_small_disk and disk is None:
                print(f"{death.name}: no small disk can be mounted", flush=True)
                continue
            for protocol in protocols:
                model = MODELS[protocol]
                for concurrency in CONCURRENCY:
                    folder = Path(disk if death.on_small_disk and disk else place) / f"{len(lines)}"
                    found = measure(provider, death, model, concurrency, folder, deaths, len(lines), expected[model])
                    lines.append(row(death, protocol, concurrency, found))
                    faults += [f"{death.name}, {protocol}, {concurrency}: {fault}" for fault in found.faults]
                    if found.passed > LIMIT:
                        faults.append(f"{death.name}, {protocol}, {concurrency}: the limit was passed")
                    print(lines[-1], found.faults, flush=True)
    print("\n".join(faults) or "no fault")
    if len(sys.argv) < 2:
        text = PAGE.read_text()
        PAGE.write_text(text[: text.index("| death |")] + "\n".join(lines) + "\n")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()

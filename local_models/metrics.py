"""Training metrics: JSON lines, TensorBoard, and Weights & Biases if installed."""

import hashlib
import importlib.util
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

METRICS = "metrics.jsonl"


class Metrics:
    """One line per evaluation. Lines after the checkpoint are discarded on resumption and measured again."""

    def __init__(self, folder: Path, done: int) -> None:
        from tensorboardX import SummaryWriter

        self._path = folder / METRICS
        kept = [line for line in read_metrics(folder) if line["step"] <= done]
        temporary = self._path.with_suffix(".partial")
        temporary.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        temporary.replace(self._path)
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=done + 1)
        self._wandb = _wandb_run(folder) if importlib.util.find_spec("wandb") else None

    def write(self, step: int, measured: dict[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"step": step, **measured}) + "\n")
        numbers = _flat(measured)
        for name, value in numbers.items():
            self._board.add_scalar(name, value, step)
        self._board.flush()
        if self._wandb is not None:
            self._wandb.log(numbers, step=step)

    def __enter__(self) -> "Metrics":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._board.close()
        if self._wandb is not None:
            self._wandb.finish(exit_code=1 if kind else 0)


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The metrics written so far."""
    lines: list[dict[str, Any]] = []
    path = folder / METRICS
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            lines.append(json.loads(text))
        except ValueError:  # the last line is incomplete
            break
    return lines


def _wandb_run(folder: Path) -> Any:
    """A resumable run; offline without an account, to be synchronised later."""
    import wandb

    quiet = wandb.Settings(silent=True, console="off")
    mode: Any = os.environ.get("WANDB_MODE") or ("online" if wandb.login(prompt=False) else "offline")
    mark = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    return wandb.init(
        project="llm-icl", id=mark, name=folder.name, dir=str(folder), resume="allow", mode=mode, settings=quiet
    )


def _flat(measured: dict[str, Any], prefix: str = "") -> dict[str, float]:
    """{"tasks": {"parity": {"loss": 1}}} becomes {"tasks/parity/loss": 1}."""
    numbers: dict[str, float] = {}
    for name, value in measured.items():
        numbers |= _flat(value, f"{prefix}{name}/") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return numbers

"""A training run in its directory: the record, and the way back to where it stopped."""

import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from llm_icl.errors import WorkError
from llm_icl.experiments.training.request import TrainingRequest
from llm_icl.networks.shapes import build
from llm_icl.runs import RunDirectory, opening_record
from local_models.backbone import parameter_count
from local_models.checkpoints import CheckpointError
from local_models.counting import flops_per_sequence
from local_models.metrics import read_metrics
from local_models.trainer import SCORES, Progress, TrainingError, train

Report = Callable[[Progress, int], None]


def carry_out(request: TrainingRequest, run: RunDirectory, report: Report) -> dict[str, Any]:
    """Train in an open run directory, from where an earlier start stopped. Returns the content of run.json.

    Raises RequestError where the directory holds another run, WorkError where training cannot go on.
    """
    earlier = run.record
    run.check_request(request.record())
    if earlier.get("status") == "complete":
        return earlier
    model = build(request.shape, request.schedule.seed)
    record = (
        opening_record("train", request.record())
        | {
            "parameters": parameter_count(model),
            "frozen": sum(parameter.numel() for parameter in model.parameters() if not parameter.requires_grad),
            "ceilings": earlier.get("ceilings") or request.ceilings(),
        }
        | {key: value for key, value in earlier.items() if key in ("started", "wall_seconds")}
    )
    began = time.monotonic() - earlier.get("wall_seconds", 0.0)

    def write(status: str) -> None:
        record.update({"status": status, "wall_seconds": time.monotonic() - began})
        run.write_record(record)

    def told(progress: Progress) -> None:
        if progress.step % request.schedule.evaluate_every == 0:
            write("running")
        report(progress, request.schedule.steps)

    write("running")
    try:
        train(model, request.schedule, request.batches, request.held_out(), run.path, told)
    except (TrainingError, CheckpointError) as problem:
        raise WorkError(f"{run.path}: {problem}") from None
    last = read_metrics(run.path)[-1]
    record["steps"] = last["step"]
    sizes = Counter(request.size_at(step)[1] for step in range(last["step"]))
    problems = {points: request.batch * count for points, count in sizes.items()}
    record["tokens"] = sum(count * 2 * points for points, count in problems.items())
    record["flops"] = sum(count * flops_per_sequence(model, 2 * points) for points, count in problems.items())
    record["evaluation"] = {key: last[key] for key in (*SCORES, "tasks")}
    record["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
    write("complete")
    return record

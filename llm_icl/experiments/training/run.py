"""Runs or resumes training in a run directory."""

from collections import Counter
from pathlib import Path
from typing import Any

from llm_icl.config.files import write_text
from llm_icl.errors import WorkError
from llm_icl.experiments.base import Session
from llm_icl.experiments.likelihood import Likelihood
from llm_icl.experiments.observed import PROBLEMS
from llm_icl.experiments.training.card import model_card
from llm_icl.experiments.training.request import TrainingRequest
from llm_icl.networks.shapes import build
from llm_icl.networks.trained import network_at
from llm_icl.progress import OnProgress
from local_models.backbone import parameter_count
from local_models.checkpoints import CheckpointError
from local_models.counting import flops_per_sequence
from local_models.metrics import read_metrics
from local_models.trainer import SCORES, StepProgress, TrainingError, train


def train_in(session: Session, request: TrainingRequest, on_progress: OnProgress) -> None:
    """Train in the session's directory. Raises WorkError if training fails."""
    model = build(request.shape, request.schedule.seed)
    on_progress("exact Bayes and nearest neighbours on the held-out problems", 0, request.schedule.steps)
    session.results = {
        "parameters": parameter_count(model),
        "frozen": sum(parameter.numel() for parameter in model.parameters() if not parameter.requires_grad),
        "ceilings": session.earlier.get("ceilings") or request.ceilings(),
    }
    session.save()

    def on_step(progress: StepProgress) -> None:
        if progress.saved == progress.step:  # the time that it took to get there
            session.save()
        on_progress(progress_text(progress, request.schedule.steps), progress.step, request.schedule.steps)

    try:
        train(
            model, request.schedule, request.batches, request.held_out(), session.path, on_step, request.kept_steps,
            request.bfloat16,
        )  # fmt: skip
    except (TrainingError, CheckpointError) as problem:
        raise WorkError(f"{session.path}: {problem}") from None
    last = read_metrics(session.path)[-1]
    sizes = {request.size_at(step)[1] for step in range(last["step"])}
    flops = {points: flops_per_sequence(model, 2 * points) for points in sizes}

    def spent(step: int) -> dict[str, int]:
        counts = Counter(request.size_at(before)[1] for before in range(step))
        problems = {points: request.batch * count for points, count in counts.items()}
        return {
            "steps": step,
            "tokens": sum(count * 2 * points for points, count in problems.items()),
            "flops": sum(count * flops[points] for points, count in problems.items()),
        }

    session.results |= spent(last["step"])
    session.results["evaluation"] = {key: last[key] for key in (*SCORES, "tasks")}
    kept = [step for step in request.kept_steps if step <= last["step"]]
    if kept:
        session.results["kept"] = list(map(spent, kept))
    on_progress("which algorithm it runs", last["step"], request.schedule.steps)
    card = model_card(session.path.resolve().name, request, session.results, network_at(session.path))
    write_text(session.path / "README.md", card)
    session.results["algorithms"] = _algorithms(session.path, request, kept, last["step"])


def _algorithms(folder: Path, request: TrainingRequest, kept: list[int], last: int) -> dict[str, list[dict[str, Any]]]:
    """Verdicts on the kept networks and the last one, by validation task."""
    networks = {step: network_at(folder, step) for step in kept} | {last: network_at(folder)}
    found = {}
    for task in request.tests:
        problems = request.held_out_problems(task)[:PROBLEMS]
        likelihood = Likelihood([problems], range(request.points), {})
        found[task.name] = [
            {"step": step, **likelihood.verdict(network.answer(problems).probability, probabilities=True)}
            for step, network in networks.items()
        ]
    return found


def progress_text(progress: StepProgress, steps: int) -> str:
    """The progress of training: loss 0.412, accuracy 0.830, last half 0.871, 12.3 steps/s, 40 s left."""
    found = progress.evaluation
    validated = f", accuracy {found['accuracy']:.3f}, last half {found['last_half']:.3f}" if found else ""
    left = (steps - progress.step) / progress.speed
    return f"loss {progress.loss:.3f}{validated}, {progress.speed:.1f} steps/s, {left:.0f} s left"

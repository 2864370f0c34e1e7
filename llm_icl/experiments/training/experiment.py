"""`train`: a network that learns in context, on an endless stream of fresh problems."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llm_icl.errors import RequestError
from llm_icl.experiments.base import Experiment, Session
from llm_icl.experiments.kinds import experiments
from llm_icl.experiments.training import KIND
from llm_icl.experiments.training.options import TrainingOptions
from llm_icl.progress import OnProgress
from llm_icl.runs import RunDirectory

if TYPE_CHECKING:
    from llm_icl.experiments.training.request import TrainingRequest
    from llm_icl.reports.document import Report


@experiments.register(KIND)
class Training(Experiment):
    """Train a network to learn in context; evaluate it with `llm-icl eval --model RUN`.

    Re-running a command resumes it, to the same weights, or prints the results if it is finished.
    """

    kind = KIND
    options = TrainingOptions
    needed = ("checkpoint.safetensors", "metrics.jsonl")

    def __init__(self, request: "TrainingRequest") -> None:
        self.request = request

    @classmethod
    def of(cls, options: TrainingOptions) -> "Training":
        from llm_icl.config.specs import parse_specs
        from llm_icl.experiments.training.request import TrainingRequest
        from llm_icl.networks.shapes import is_pretrained, shape_for
        from llm_icl.tasks.cards import load_task
        from local_models.trainer import Schedule

        architectures = parse_specs([options.architecture])
        if len(architectures) != 1:
            raise RequestError(f"--architecture takes one architecture, not '{options.architecture}'")
        shape = shape_for(
            architectures[0], options.n, options.points, options.layers, options.width, options.parameter_count,
            options.seed,
        )  # fmt: skip
        tasks = tuple(load_task(spec, options.tasks_dir) for spec in parse_specs(options.task))
        # Training a pretrained model diverges at the learning rates of small new models.
        optimiser, rate = ("adamw", 1e-3) if is_pretrained(shape) else ("muon", 8e-3)
        schedule = Schedule(
            options.steps, options.optimiser or optimiser, options.rate or rate, seed=options.seed,
            evaluate_every=options.evaluate_every, stop_at=options.stop_at,
        )  # fmt: skip
        request = TrainingRequest(
            tasks=tasks,
            tests=tuple(load_task(spec, options.tasks_dir) for spec in parse_specs(options.test)) or tasks,
            n=options.n,
            points=options.points,
            batch=options.batch_size,
            shape=shape,
            schedule=schedule,
            start_n=options.start_n or options.n,
            start_points=options.start_points or options.points,
            keep_checkpoints=options.keep_checkpoints,
            bfloat16=options.bfloat16,
        )
        return cls(request)

    def record(self) -> dict[str, Any]:
        return self.request.record()

    def directory_name(self) -> str:
        return self.request.directory_name()

    def products(self) -> tuple[str, ...]:
        return *self.needed, "README.md", "tensorboard", *(("checkpoints",) if self.request.keep_checkpoints else ())

    def check(self) -> None:
        self.request.check()

    def work(self, session: Session, on_progress: OnProgress) -> None:
        from llm_icl.experiments.training.run import train_in

        train_in(session, self.request, on_progress)

    @classmethod
    def report(cls, runs: Sequence[RunDirectory]) -> "Report":
        from llm_icl.experiments.training.report import report_of

        return report_of(runs)

"""`probe`: scores of attention heads."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llm_icl.errors import RequestError
from llm_icl.experiments.base import Experiment, Session
from llm_icl.experiments.kinds import experiments
from llm_icl.experiments.probing import HEADS, KIND
from llm_icl.experiments.probing.options import ProbeOptions
from llm_icl.progress import OnProgress
from llm_icl.runs import RunDirectory, digest
from llm_icl.tasks.options import DEFAULT_N

if TYPE_CHECKING:
    from llm_icl.experiments.probing.request import ProbeRequest
    from llm_icl.reports.document import Report

_POINTS = 40


@experiments.register(KIND)
class Probe(Experiment):
    """Score every attention head: the attention from a query to the labels of earlier copies of the same point
    (induction), and to the labels of the nearest earlier points (nearest neighbour).
    """

    kind = KIND
    options = ProbeOptions
    needed = (HEADS,)

    def __init__(self, request: "ProbeRequest") -> None:
        self.request = request

    @classmethod
    def of(cls, options: ProbeOptions) -> "Probe":
        from llm_icl.config.specs import parse_specs
        from llm_icl.experiments.probing.request import ProbeRequest
        from llm_icl.networks.named import named_models
        from llm_icl.prompting import load_prompt
        from llm_icl.tasks.cards import load_task

        models, trained = named_models(options.model)
        names = [network.name for network in trained] + [model.name for model in models]
        if len(set(names)) < len(names):
            raise RequestError("--model: the same model is given twice")
        n = options.n or next((network.n for network in trained), DEFAULT_N)
        points = options.points or min((network.points or _POINTS for network in trained), default=_POINTS)
        if points < 2 * options.copies:
            raise RequestError(
                f"--copies {options.copies} requires --points of at least {2 * options.copies}, not {points}"
            )
        tasks, prompts = parse_specs([options.task]), parse_specs([options.prompt])
        if len(tasks) > 1 or len(prompts) > 1:
            raise RequestError("a probe has one task and one prompt")
        request = ProbeRequest(
            models, trained, load_task(tasks[0], options.tasks_dir), n, points, options.problems, options.copies,
            options.seed, load_prompt(prompts[0], options.prompts_dir),
        )  # fmt: skip
        return cls(request)

    def record(self) -> dict[str, Any]:
        return self.request.record()

    def directory_name(self) -> str:
        return f"probe-{digest(self.record())}"

    def check(self) -> None:
        from llm_icl.experiments.probing.run import check

        check(self.request)

    def work(self, session: Session, on_progress: OnProgress) -> None:
        from llm_icl.config.files import atomic_path
        from llm_icl.experiments.probing.run import probe

        heads = probe(self.request, on_progress)
        with atomic_path(session.path / HEADS) as temporary:
            heads.write_parquet(temporary)

    @classmethod
    def report(cls, runs: Sequence[RunDirectory]) -> "Report":
        from llm_icl.experiments.probing.report import report_of

        return report_of(runs)

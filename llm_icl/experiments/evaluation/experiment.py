"""`eval`: models and learners on the same problems."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llm_icl.experiments.asking import AskingExperiment, Execution
from llm_icl.experiments.base import Session
from llm_icl.experiments.evaluation import KIND
from llm_icl.experiments.evaluation.options import EvaluationOptions
from llm_icl.experiments.kinds import experiments
from llm_icl.progress import OnProgress
from llm_icl.runs import RunDirectory

if TYPE_CHECKING:
    from llm_icl.backends import ModelEntry
    from llm_icl.backends.pool import ModelPool
    from llm_icl.experiments.calling import Calling
    from llm_icl.experiments.evaluation.request import Request
    from llm_icl.reports.document import Report


@experiments.register(KIND)
class Evaluation(AskingExperiment):
    """Evaluate models and learners on the same problems.

    Without --model, the embedded default is evaluated: a small language model on the CPU, without an account.
    Options can be repeated or take comma-separated lists. Re-running a command resumes it, or prints the results if it
    is finished.
    """

    kind = KIND
    options = EvaluationOptions
    needed = ("predictions.parquet",)
    request: "Request"

    @classmethod
    def of(cls, options: EvaluationOptions) -> "Evaluation":
        from llm_icl.config.specs import parse_specs
        from llm_icl.experiments.evaluation.request import Request
        from llm_icl.experiments.limits import Limits
        from llm_icl.learners.base import parse_learners
        from llm_icl.networks.named import named_models
        from llm_icl.prompting import load_prompt
        from llm_icl.tasks.cards import load_task
        from llm_icl.tasks.options import read_positions

        models, trained = named_models(options.model, options.base_url, options.catalogue)
        request = Request(
            tasks=tuple(load_task(spec, options.tasks_dir) for spec in parse_specs(options.task)),
            ns=options.n,
            seeds=options.seed,
            points=options.points,
            problems=options.problems,
            positions=read_positions(options.positions, options.points),
            models=models,
            trained=trained,
            prompts=tuple(load_prompt(spec, options.prompts_dir) for spec in parse_specs(options.prompt)),
            learners=parse_learners(options.learner, options.tasks_dir) if options.learner else None,
            mode=options.mode,
            shuffled_labels=options.shuffled_labels,
            repeats=options.repeats,
        )
        return cls(request, Limits.of(options))

    def products(self) -> tuple[str, ...]:
        return *self.needed, "exchanges.jsonl", "problems"

    def check_request(self, will_ask: bool) -> None:
        from llm_icl.experiments.evaluation.checking import check

        check(self.request, will_ask)

    @classmethod
    def plan(cls, requests: "Sequence[Request]", cache_path: Path, batch: bool, say: Callable[[str], None]) -> None:
        from llm_icl.experiments.evaluation.dry_run import print_estimates

        print_estimates(requests, cache_path, batch, say)

    def modes(self, entry: "ModelEntry", pool: "ModelPool") -> list[str]:
        from llm_icl.experiments.evaluation.checking import modes_of

        return modes_of(self.request, entry, pool)

    def execution(
        self, session: Session, pool: "ModelPool", calling: "Calling | None", on_progress: OnProgress
    ) -> Execution:
        from llm_icl.experiments.evaluation.run import EvaluationRun

        return EvaluationRun(self.request, session, pool, calling, on_progress)

    def unanswered(self, run: RunDirectory) -> dict[str, str]:
        """The language models that answered nothing at all, and the status of most of their positions with its
        reason.
        """
        import polars as pl

        from llm_icl.problems import ANSWERED, SHUFFLED

        asked = run.predictions().filter(pl.col("prompt").is_not_null() & ~pl.col("learner").str.ends_with(SHUFFLED))
        answered = pl.col("status").is_in(ANSWERED).any()
        names = asked.group_by("learner", maintain_order=True).agg(
            answered, pl.col("status").mode().first().alias("most")
        )
        silent = {row["learner"]: row["most"] for row in names.filter(~pl.col("status")).iter_rows(named=True)}
        for mode in run.record.get("modes", []):
            for reason in mode.get("without_probability", {}) if mode["learner"] in silent else ():
                silent[mode["learner"]] = f"error: {reason}"
        return silent

    @classmethod
    def report(cls, runs: Sequence[RunDirectory]) -> "Report":
        from llm_icl.experiments.evaluation.report import report_of

        return report_of(runs)

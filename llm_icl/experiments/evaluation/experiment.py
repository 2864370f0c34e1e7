"""`eval`: models and learners on the same problems."""

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_icl.errors import WorkError
from llm_icl.experiments.base import Experiment, Session, experiments
from llm_icl.experiments.evaluation.options import EvaluationOptions
from llm_icl.progress import OnProgress, silent
from llm_icl.runs import RunDirectory

if TYPE_CHECKING:
    from llm_icl.backends.pool import ModelPool
    from llm_icl.experiments.calling import Calling, Limits
    from llm_icl.experiments.evaluation.request import Request
    from llm_icl.reports.document import Report

# Next to the run: shared by all runs in a folder.
CACHE = "calls.sqlite"


@experiments.register("eval")
class Evaluation(Experiment):
    """Evaluate models and learners on the same problems.

    Without --model, the embedded default is evaluated: a small language model on the CPU, without an account.
    Options can be repeated or take comma-separated lists. Re-running a command resumes it, or prints the results if it
    is finished.
    """

    kind = "eval"
    summary = "Evaluate models and learners on the same problems."
    options = EvaluationOptions
    describes = True
    needed = ("predictions.parquet",)

    def __init__(
        self, request: "Request", limits: "Limits", pool: "ModelPool | None" = None, calling: "Calling | None" = None
    ) -> None:
        """The cells of a suite share one pool of models and one Calling."""
        self.request, self.limits = request, limits
        self._pool, self._calling = pool, calling

    @classmethod
    def of(cls, options: EvaluationOptions) -> "Evaluation":
        from llm_icl.config.specs import parse_specs
        from llm_icl.experiments.calling import Limits
        from llm_icl.experiments.evaluation.request import Request, read_positions
        from llm_icl.networks.named import named_models
        from llm_icl.prompting import load_prompt
        from llm_icl.tasks.cards import load_task

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
            learners=tuple(parse_specs(options.learner)) if options.learner else None,
            mode=options.mode,
            shuffled_labels=options.shuffled_labels,
            repeats=options.repeats,
        )
        return cls(request, Limits.of(options))

    def record(self) -> dict[str, Any]:
        return self.request.record()

    def directory_name(self) -> str:
        return self.request.directory_name()

    def products(self) -> tuple[str, ...]:
        return *self.needed, "exchanges.jsonl", "problems"

    def check(self) -> None:
        from llm_icl.experiments.evaluation.checking import check

        check(self.request)
        self.limits.check(self.request.models)

    def describe(self, folder: Path, say: Callable[[str], None]) -> None:
        from llm_icl.experiments.evaluation.checking import check
        from llm_icl.experiments.evaluation.dry_run import print_estimates

        check(self.request, will_ask=False)
        print_estimates([self.request], folder.parent / CACHE, self.limits.batch, say)

    def run(self, folder: Path, on_progress: OnProgress = silent, keep_old: bool = False) -> RunDirectory:
        from llm_icl.backends.pool import ModelPool

        if self._pool is not None:
            return super().run(folder, on_progress, keep_old)
        with closing(ModelPool(folder)) as self._pool:
            try:
                return super().run(folder, on_progress, keep_old)
            finally:
                self._pool = None

    def prepare(self, folder: Path) -> None:
        """Load the first model and plan its calls, so errors occur before anything is written."""
        from llm_icl.experiments.evaluation.checking import modes_of

        if self.request.models and self._calling is None:
            assert self._pool is not None
            modes_of(self.request, self.request.models[0], self._pool)

    def work(self, session: Session, on_progress: OnProgress) -> None:
        from llm_icl.experiments.evaluation.run import EvaluationRun

        assert self._pool is not None
        EvaluationRun(self.request, session, self._pool, self._calls(session), on_progress).run()

    def submit(self, folder: Path, on_progress: OnProgress = silent, keep_old: bool = False) -> None:
        """Submit all requests to the providers' batch interfaces without waiting."""
        from llm_icl.experiments.evaluation.run import EvaluationRun

        assert self._pool is not None
        run = RunDirectory(folder)
        with run, self.session(run, keep_old) as session:
            if session is not None:
                EvaluationRun(self.request, session, self._pool, self._calls(session), on_progress).submit()

    def failure(self, run: RunDirectory) -> WorkError | None:
        from llm_icl.config.specs import counted

        failed = sorted(run.record.get("failed", {}).items(), key=lambda entry: -entry[1])
        parts = [f"no answer from {name} ({reason})" for name, reason in _silent(run).items()]
        if failed:
            calls = counted(sum(count for _, count in failed), "call")
            parts.append(f"{calls} failed ({failed[0][0]}): re-running the command retries them")
        return WorkError("; ".join(parts)) if parts else None

    def _calls(self, session: Session) -> "Calling | None":
        from llm_icl.asking.cache import CallCache

        if self._calling is not None or not self.request.models:
            return self._calling
        return self.limits.calling(CallCache(session.path.parent / CACHE), session.path.name)

    @classmethod
    def report(cls, runs: Sequence[RunDirectory]) -> "Report":
        from llm_icl.experiments.evaluation.report import report_of

        return report_of(runs)


def _silent(run: RunDirectory) -> dict[str, str]:
    """The language models that answered nothing at all, and the status of most of their positions with its reason."""
    import polars as pl

    from llm_icl.problems import ANSWERED, SHUFFLED

    asked = run.predictions().filter(pl.col("prompt").is_not_null() & ~pl.col("learner").str.ends_with(SHUFFLED))
    answered = pl.col("status").is_in(ANSWERED).any()
    names = asked.group_by("learner", maintain_order=True).agg(answered, pl.col("status").mode().first().alias("most"))
    silent = {row["learner"]: row["most"] for row in names.filter(~pl.col("status")).iter_rows(named=True)}
    for mode in run.record.get("modes", []):
        for reason in mode.get("without_probability", {}) if mode["learner"] in silent else ():
            silent[mode["learner"]] = f"error: {reason}"
    return silent

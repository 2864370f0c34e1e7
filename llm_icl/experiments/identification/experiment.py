"""`identify`: which learning algorithm a subject runs in context."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llm_icl.errors import RequestError
from llm_icl.experiments.asking import AskingExperiment, Execution
from llm_icl.experiments.base import Session
from llm_icl.experiments.identification import KIND
from llm_icl.experiments.identification.options import IdentifyOptions
from llm_icl.experiments.kinds import experiments
from llm_icl.progress import OnProgress
from llm_icl.runs import RunDirectory

if TYPE_CHECKING:
    from llm_icl.backends import ModelEntry
    from llm_icl.backends.pool import ModelPool
    from llm_icl.experiments.calling import Calling
    from llm_icl.experiments.identification.request import IdentificationRequest
    from llm_icl.reports.document import Report

# What an answered file has decided.
_OF_QUESTIONS = ("n", "seed", "examples", "contexts", "queries", "mode", "repeats")


@experiments.register(KIND)
class Identification(AskingExperiment):
    """Find out which learning algorithm a subject runs in context: one that is known, a mixture, or none of these.

    Subjects are models (--model), classical learners (--learner), or answers that were collected elsewhere (--answers).
    They are asked queries that tell known algorithms apart; --dry-run prints which ones these can tell apart, before
    anything is asked. Options can be repeated or take comma-separated lists. Re-running a command resumes it, or prints
    the results if it is finished.
    """

    kind = KIND
    options = IdentifyOptions
    needed = ("predictions.parquet", "findings.json", "probes")
    request: "IdentificationRequest"

    @classmethod
    def of(cls, options: IdentifyOptions) -> "Identification":
        from llm_icl.config.specs import parse_specs
        from llm_icl.experiments.identification.answers_file import AnswersFile
        from llm_icl.experiments.identification.request import IdentificationRequest
        from llm_icl.experiments.limits import Limits
        from llm_icl.learners.base import parse_learners
        from llm_icl.networks.named import named_models
        from llm_icl.prompting import load_prompt
        from llm_icl.tasks.cards import load_task

        if options.answers and (options.task or options.model or options.learner):
            raise RequestError(
                "--answers brings its own tasks and subjects: --task, --model and --learner do not apply"
            )
        chosen = [f"--{name}" for name in _OF_QUESTIONS if getattr(options, name) != getattr(IdentifyOptions, name)]
        if options.answers and chosen:
            raise RequestError(f"--answers brings its own questions: {' and '.join(chosen)} cannot be chosen")
        if not options.answers and not options.task:
            raise RequestError(options.missing("task", {"tasks_dir": options.tasks_dir}))
        asks = options.model or not (options.learner or options.answers)
        models, trained = named_models(options.model, options.base_url, options.catalogue) if asks else ((), ())
        learners = parse_learners(options.learner, options.tasks_dir)
        if not (models or trained or learners or options.answers):
            raise RequestError("nothing to identify: give a model, --learner or --answers")
        prompts = parse_specs([options.prompt])
        if len(prompts) > 1:
            raise RequestError("an identification has one prompt")
        request = IdentificationRequest(
            tasks=tuple(load_task(spec, options.tasks_dir) for spec in parse_specs(options.task)),
            ns=options.n,
            seeds=options.seed,
            examples=tuple(sorted(options.examples)),
            contexts=options.contexts,
            queries=options.queries,
            candidates=tuple(str(spec) for spec in parse_learners(options.candidate, options.tasks_dir)),
            models=models,
            trained=trained,
            learners=learners,
            answers=tuple(AnswersFile.read(path, options.tasks_dir) for path in options.answers),
            prompt=load_prompt(prompts[0], options.prompts_dir),
            mode=options.mode,
            repeats=options.repeats,
        )
        return cls(request, Limits.of(options))

    def products(self) -> tuple[str, ...]:
        return *self.needed, "exchanges.jsonl"

    def check_request(self, will_ask: bool) -> None:
        from llm_icl.experiments.identification.checking import check

        check(self.request, will_ask)

    @classmethod
    def plan(
        cls, requests: "Sequence[IdentificationRequest]", cache_path: Path, batch: bool, say: Callable[[str], None]
    ) -> None:
        from llm_icl.experiments.identification.dry_run import print_plan

        print_plan(requests, cache_path, batch, say)

    def modes(self, entry: "ModelEntry", pool: "ModelPool") -> list[str]:
        from llm_icl.experiments.identification.checking import modes_of

        return modes_of(self.request, entry, pool)

    def execution(
        self, session: Session, pool: "ModelPool", calling: "Calling | None", on_progress: OnProgress
    ) -> Execution:
        from llm_icl.experiments.identification.run import IdentificationRun

        return IdentificationRun(self.request, session, pool, calling, on_progress)

    def unanswered(self, run: RunDirectory) -> dict[str, str]:
        """The language models that answered too little for a verdict in some setting, and how much."""
        from llm_icl.experiments.identification.findings import read_findings

        models = {entry.name for entry in self.request.models}
        return {
            found.subject: f"{100 * found.answered:.0f} % of the questions were answered on {cell.task} n={cell.n}"
            for cell in read_findings(run.path)
            for found in cell.found
            if found.identification is None and found.subject in models
        }

    @classmethod
    def report(cls, runs: Sequence[RunDirectory]) -> "Report":
        from llm_icl.experiments.identification.report import report_of

        return report_of(runs)

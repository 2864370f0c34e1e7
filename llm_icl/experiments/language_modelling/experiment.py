"""`train-lm`: small language models that differ only in their attention."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llm_icl.experiments.base import Experiment, Session
from llm_icl.experiments.kinds import experiments
from llm_icl.experiments.language_modelling import KIND
from llm_icl.experiments.language_modelling.options import LanguageOptions
from llm_icl.progress import OnProgress
from llm_icl.runs import RunDirectory, digest

if TYPE_CHECKING:
    from llm_icl.experiments.language_modelling.request import LanguageRequest
    from llm_icl.reports.document import Report

_WARM_UP = 100


@experiments.register(KIND)
class LanguageModelling(Experiment):
    """Train small GPTs from scratch that differ only in their attention, and compare their perplexity on held-out text
    (Dai et al. 2023, section 5).

    Re-running a command resumes it, to the same weights, or prints the results if it is finished. Each model's folder
    can be passed as --model.
    """

    kind = KIND
    options = LanguageOptions
    needed = ("losses.parquet",)

    def __init__(self, request: "LanguageRequest") -> None:
        self.request = request

    def products(self) -> tuple[str, ...]:
        from llm_icl.experiments.language_modelling.run import LOSSES, TOKENIZER, name_of

        request = self.request
        models = [name_of(str(spec), seed) for spec in request.attentions for seed in request.seeds]
        return LOSSES, TOKENIZER, *models

    @classmethod
    def of(cls, options: LanguageOptions) -> "LanguageModelling":
        from llm_icl.config.specs import parse_specs
        from llm_icl.experiments.language_modelling.request import LanguageRequest
        from llm_icl.experiments.language_modelling.texts import read_texts
        from local_models.language_trainer import LanguageSchedule

        training, held_out = read_texts(options.text, options.held_out)
        context, steps = options.context, options.steps
        lengths = options.lengths or [context // part for part in (4, 2, 1) if context % part == 0]
        schedule = LanguageSchedule(
            steps, options.batch_size, context, options.rate, min(_WARM_UP, steps // 10), 0, options.evaluate_every
        )
        request = LanguageRequest(
            tuple(parse_specs(options.attention)), tuple(training), held_out, options.vocabulary, options.layers,
            options.width, options.heads, tuple(sorted(lengths)), schedule, options.seed,
        )  # fmt: skip
        return cls(request)

    def record(self) -> dict[str, Any]:
        return self.request.record()

    def directory_name(self) -> str:
        return f"train-lm-{digest(self.record())}"

    def check(self) -> None:
        self.request.check()

    def work(self, session: Session, on_progress: OnProgress) -> None:
        from llm_icl.experiments.language_modelling.run import train_in

        train_in(session, self.request, on_progress)

    @classmethod
    def report(cls, runs: Sequence[RunDirectory]) -> "Report":
        from llm_icl.experiments.language_modelling.report import report_of

        return report_of(runs)

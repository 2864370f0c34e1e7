"""`finetune-vs-icl`: the same demonstrations in the context, and finetuned into the weights."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llm_icl.experiments.base import Experiment, Session
from llm_icl.experiments.finetuning import KIND
from llm_icl.experiments.finetuning.options import ComparisonOptions
from llm_icl.experiments.kinds import experiments
from llm_icl.progress import OnProgress
from llm_icl.runs import RunDirectory, digest

if TYPE_CHECKING:
    from llm_icl.experiments.finetuning.request import ComparisonRequest
    from llm_icl.reports.document import Report


@experiments.register(KIND)
class Comparison(Experiment):
    """Compare what demonstrations do in a model's context with what finetuning on them does (Dai et al. 2023), with the
    controls that show how much of the similarity remains.
    """

    kind = KIND
    options = ComparisonOptions
    needed = ("answers.parquet", "measures.parquet", "layers.parquet")

    def __init__(self, request: "ComparisonRequest") -> None:
        self.request = request

    @classmethod
    def of(cls, options: ComparisonOptions) -> "Comparison":
        from llm_icl.backends.base import backend_with_weights
        from llm_icl.backends.catalogue import DEFAULT_MODEL, find_model
        from llm_icl.experiments.finetuning.request import ComparisonRequest
        from llm_icl.experiments.finetuning.text_tasks import load_splits, load_text_task

        rates, model = options.learning_rates, find_model(options.model or DEFAULT_MODEL)
        backend_with_weights(model)
        task = load_text_task(options.dataset, options.tasks_dir)
        splits = load_splits(task, options.data_dir)
        request = ComparisonRequest(
            model, task, splits, options.seed, options.demonstrations or task.demonstrations,
            min(options.examples, len(splits.evaluation)), rates, options.choose_on,
            options.separator, options.controls, options.best_seed, cut=options.too_many == "cut",
            drop=options.too_long == "drop",
        )  # fmt: skip
        return cls(request)

    def record(self) -> dict[str, Any]:
        return self.request.record()

    def directory_name(self) -> str:
        return f"finetune-vs-icl-{self.request.task.name}-{digest(self.record())}"

    def check(self) -> None:
        self.request.check()

    def work(self, session: Session, on_progress: OnProgress) -> None:
        from llm_icl.experiments.finetuning.run import compare_in

        compare_in(session, self.request, on_progress)

    @classmethod
    def report(cls, runs: Sequence[RunDirectory]) -> "Report":
        from llm_icl.experiments.finetuning.report import report_of

        return report_of(runs)

"""An evaluation step by step: learners × tasks → predictions."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from llm_icl.backends import LanguageModel
from llm_icl.backends.pool import ModelPool
from llm_icl.config.files import file_name
from llm_icl.experiments.base import Session
from llm_icl.experiments.evaluation.checking import modes_of
from llm_icl.experiments.evaluation.request import Request
from llm_icl.experiments.evaluation.steps import Step, steps
from llm_icl.experiments.tally import Tally
from llm_icl.predictions import predictions_frame
from llm_icl.problems import Answers, Problems
from llm_icl.progress import OnProgress
from llm_icl.tasks.drawing import draw_problems

if TYPE_CHECKING:
    from llm_icl.asking.channels import Channel
    from llm_icl.experiments.asker import Asker, Questions
    from llm_icl.experiments.calling import Calling

log = logging.getLogger(__name__)


class EvaluationRun:
    """The execution of one request in an open session. Finished steps are not repeated."""

    def __init__(
        self, request: Request, session: Session, pool: ModelPool, calling: "Calling | None", on_progress: OnProgress,
    ) -> None:  # fmt: skip
        self._request, self._session, self._pool, self._calling = request, session, pool, calling
        self._on_progress = on_progress
        self._tally = Tally.resumed(session.earlier)
        self._tally.networks = {network.name: network.about() for network in request.trained}
        self._steps, self._tally.skipped = steps(request)
        self._frames: dict[str, pl.DataFrame] = {}
        self._exchanges: dict[str, list[dict[str, object]]] = {}

    def run(self) -> None:
        """Run all steps and join their predictions. Raises WorkError if the work must stop early."""
        self._save()
        try:
            for step in self._steps:
                if step.job.learner is not None:
                    self._answer(step)
            for index in range(len(self._request.models)):
                with self._model(index) as (model, channel):
                    self._ask_all(index, model, channel)
        finally:
            self._save()
        parts = [step.part for step in self._steps]
        exchanges = [exchange for part in parts for exchange in self._exchanges.get(part, [])]
        self._session.run.finish([self._frames[part] for part in parts], exchanges)
        self._session.results["algorithms"] = self._algorithms()
        self._on_progress("done", len(self._steps), len(self._steps))

    def submit(self) -> None:
        """Submit all requests to the providers' batch interfaces without waiting; failures appear on collection."""
        for index in range(len(self._request.models)):
            with self._model(index):
                pass

    def _algorithms(self) -> list[dict[str, Any]]:
        """Which algorithm each language model and network runs."""
        if not self._request.models and not self._request.trained:
            return []
        from llm_icl.experiments.evaluation.identifying import algorithms_of

        self._on_progress("which algorithm", len(self._steps), len(self._steps))
        return algorithms_of(self._request, self._steps, self._frames, self._problems)

    @cached_property
    def _asker(self) -> "Asker":
        from llm_icl.experiments.asker import Asker

        assert self._calling is not None
        return Asker(self._pool, self._calling, self._tally, self._on_progress)

    def _steps_of(self, model: int) -> list[Step]:
        return [step for step in self._steps if step.job.model == model]

    def _problems(self, step: Step) -> Problems:
        request, setting = self._request, step.setting
        problems = draw_problems(setting.task, setting.n, request.points, request.problems, setting.seed)
        path = self._session.path / "problems" / f"{file_name(setting.task.name)}-n{setting.n}-s{setting.seed}.npz"
        if not path.is_file():
            problems.save(path)
        return problems

    def _shown(self, step: Step) -> Problems:
        problems = self._problems(step)
        return problems.with_shuffled_labels() if step.job.shuffled else problems

    def _answer(self, step: Step) -> None:
        """A classical learner's answers."""
        assert step.job.learner is not None
        if not self._known(step):
            began = time.monotonic()
            self._on_progress(f"{step.setting}: {step.job.name}", len(self._frames), len(self._steps))
            problems = self._problems(step)
            answers = step.job.learner.answer_at(problems, np.array(self._request.positions))
            self._keep(step, problems, answers, began)

    @contextmanager
    def _model(self, index: int) -> "Iterator[tuple[LanguageModel, Channel | None]]":
        """A language model during its steps; with --batch, all its requests are submitted first."""
        entry = self._request.models[index]
        for mode in modes_of(self._request, entry, self._pool):
            log.info(mode)
        with self._asker.model(entry, lambda: map(self._questions, self._steps_of(index))) as opened:
            yield opened

    def _questions(self, step: Step) -> "Questions":
        from llm_icl.experiments.asker import Questions

        assert step.job.prompt is not None
        request = self._request
        shown = self._shown(step)
        return Questions(str(step.setting), step.job.prompt, shown, request.positions, request.mode, request.repeats)

    def _ask_all(self, index: int, model: LanguageModel, channel: "Channel | None") -> None:
        asked = [partial(self._ask, step, model) for step in self._steps_of(index)]
        self._asker.ask_all(channel, asked, alone=len(self._request.models) == 1)

    def _ask(self, step: Step, model: LanguageModel, channel: "Channel | None") -> None:
        """A language model's answers, and the exchanges."""
        job, setting, began = step.job, step.setting, time.monotonic()
        questions = self._questions(step)
        plan, answered = self._asker.answers(job.name, model, channel, questions)
        about = {"learner": job.name, "task": setting.task.name, "n": setting.n, "seed": setting.seed}
        about["prompt"] = questions.prompt.name
        self._exchanges[step.part] = [about | one for one in answered.exchanges]
        if not self._known(step):
            self._asker.count(job.name, questions, plan, answered)
            self._keep(step, questions.shown, answered.answers, began)

    def _known(self, step: Step) -> bool:
        """Whether this step is already finished; if so, its predictions are reused."""
        frame = self._session.run.part(step.part)
        if frame is not None:
            self._frames[step.part] = frame
        return frame is not None

    def _keep(self, step: Step, problems: Problems, answers: Answers, began: float) -> None:
        job = step.job
        prompt = job.prompt.name if job.prompt else None
        frame = predictions_frame(problems, self._request.positions, job.name, prompt, answers)
        seconds = self._tally.seconds
        seconds[job.name] = seconds.get(job.name, 0.0) + time.monotonic() - began
        self._session.run.write_part(step.part, frame)
        self._frames[step.part] = frame
        self._save()

    def _save(self) -> None:
        if self._calling is not None:
            self._calling.count_spending(self._tally)
        self._session.results = self._tally.data()
        self._session.save()

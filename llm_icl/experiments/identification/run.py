"""An identification step by step: subjects × settings → answers → verdicts."""

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
import polars as pl

from llm_icl.analysis.identification.identify import identify
from llm_icl.analysis.identification.structure import Structure
from llm_icl.asking.channels import Channel
from llm_icl.backends import LanguageModel, ModelEntry
from llm_icl.backends.pool import ModelPool
from llm_icl.config.files import atomic_path, file_name
from llm_icl.experiments.asker import Asker, Questions
from llm_icl.experiments.base import Session
from llm_icl.experiments.calling import Calling
from llm_icl.experiments.identification.answered import Answered, answers_frame, given_frame, read_answers
from llm_icl.experiments.identification.answers_file import collected
from llm_icl.experiments.identification.browsing import PROBES, ground_name
from llm_icl.experiments.identification.findings import Cell, Found, Identifiability, write_findings
from llm_icl.experiments.identification.options import LEAST_CONTEXTS
from llm_icl.experiments.identification.probes import Probes
from llm_icl.experiments.identification.request import IdentificationRequest
from llm_icl.experiments.setting import Setting
from llm_icl.experiments.tally import Tally
from llm_icl.learners.base import Learner, learner_of
from llm_icl.progress import OnProgress

log = logging.getLogger(__name__)


@dataclass
class Ground:
    """The probes of one setting, drawn or read from a file, and the answers to them by subject."""

    setting: Setting
    probes: Probes
    source: str = ""
    answered: dict[str, Answered] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return ground_name(self.setting.task.name, self.setting.n, self.setting.seed, self.source)


class IdentificationRun:
    """The execution of one request in an open session. Answers of finished steps are not asked for again."""

    def __init__(
        self, request: IdentificationRequest, session: Session, pool: ModelPool, calling: Calling | None,
        on_progress: OnProgress,
    ) -> None:  # fmt: skip
        self._request, self._session, self._pool, self._calling = request, session, pool, calling
        self._on_progress = on_progress
        self._tally = Tally.resumed(session.earlier)
        self._tally.networks = {network.name: network.about() for network in request.trained}
        self._frames: dict[str, pl.DataFrame] = {}
        self._exchanges: list[dict[str, object]] = []

    def run(self) -> None:
        """Ask all subjects, analyse their answers, and write everything. Raises WorkError if it must stop early."""
        self._save()
        try:
            for ground in self._grounds:
                for name, learner in self._learners():
                    self._answer(ground, name, learner)
            for entry in self._request.models:
                self._ask_all(entry)
        finally:
            self._save()
        write_findings(self._session.path, [self._analysed(ground) for ground in self._grounds])
        self._on_progress("done", 1, 1)
        self._session.run.finish(self._frames.values(), self._exchanges)

    def submit(self) -> None:
        """Submit all requests to the providers' batch interfaces without waiting; failures appear on collection."""
        for entry in self._request.models:
            with self._asker.model(entry, self._all_questions):
                pass

    @cached_property
    def _grounds(self) -> list[Ground]:
        grounds: list[Ground] = []
        for setting in self._request.settings():
            self._on_progress(f"{setting}: probes", len(grounds), len(self._request.settings()))
            grounds.append(Ground(setting, self._request.probes(setting)))
        for file in self._request.answers:
            for setting, rows in file.settings:
                found = collected(file, setting, rows, self._request.candidates)
                grounds.append(Ground(setting, found.probes, file.name, found.answered))
        _name_apart(grounds)
        for ground in grounds:
            self._frames |= {
                f"{ground.name}-{name}": given_frame(name, ground.probes, answered)
                for name, answered in ground.answered.items()
            }
            with atomic_path(self._session.path / PROBES / f"{ground.name}.parquet") as temporary:
                pl.DataFrame(ground.probes.rows(self._request.prompt)).write_parquet(temporary)
        return grounds

    @cached_property
    def _asker(self) -> Asker:
        assert self._calling is not None
        return Asker(self._pool, self._calling, self._tally, self._on_progress)

    def _learners(self) -> Iterator[tuple[str, Learner]]:
        yield from ((str(spec), learner_of(spec)) for spec in self._request.learners)
        yield from ((network.name, network) for network in self._request.trained)

    def _answer(self, ground: Ground, name: str, learner: Learner) -> None:
        """A learner's answers: one fit of each context, all its queries at once."""
        frames, design = [], ground.probes.design
        for m, (examples, asked) in enumerate(ground.probes.asked()):
            began = time.monotonic()
            part = f"{ground.name}-{examples}-{file_name(name)}"
            if not self._known(part):
                self._on_progress(f"{ground.setting}: {name}", m, len(design.sizes))
                found = learner.answer_queries(ground.probes.contexts[m], design.queries[m])
                column = found.in_a_column()
                self._keep(part, answers_frame(name, None, asked, design.shape[2], column), name, began)
            frames.append(self._frames[part])
        ground.answered[name] = read_answers(frames, design.shape, 1)

    def _questions(self, ground: Ground) -> Iterator[Questions]:
        request = self._request
        for examples, asked in ground.probes.asked():
            cell = f"{ground.setting}, {examples} examples"
            yield Questions(cell, request.prompt, asked, (examples,), request.mode, request.repeats)

    def _all_questions(self) -> Iterator[Questions]:
        for ground in self._grounds:
            yield from self._questions(ground)

    def _ask_all(self, entry: ModelEntry) -> None:
        with self._asker.model(entry, self._all_questions) as (model, channel):
            steps = [
                partial(self._ask, ground, entry.name, model, questions)
                for ground in self._grounds
                for questions in self._questions(ground)
            ]
            self._asker.ask_all(channel, steps, alone=len(self._request.models) == 1)
        for ground in self._grounds:
            frames = [self._frames[self._part(ground, each, entry.name)] for each in self._questions(ground)]
            answered = read_answers(frames, ground.probes.design.shape, self._request.repeats)
            ground.answered[entry.name] = answered

    @staticmethod
    def _part(ground: Ground, questions: Questions, name: str) -> str:
        return f"{ground.name}-{questions.positions[0]}-{file_name(name)}"

    def _ask(
        self, ground: Ground, name: str, model: LanguageModel, questions: Questions, channel: Channel | None
    ) -> None:
        """A language model's answers at one number of examples, and the exchanges."""
        began, part = time.monotonic(), self._part(ground, questions, name)
        plan, answered = self._asker.answers(name, model, channel, questions)
        setting = ground.setting
        about = {"learner": name, "task": setting.task.name, "n": setting.n, "seed": setting.seed}
        about["prompt"] = questions.prompt.name
        self._exchanges += [about | one for one in answered.exchanges]
        if not self._known(part):
            self._asker.count(name, questions, plan, answered)
            queries = ground.probes.design.shape[2]
            frame = answers_frame(name, questions.prompt.name, questions.shown, queries, answered.answers)
            self._keep(part, frame, name, began)

    def _known(self, part: str) -> bool:
        """Whether this step is already finished; if so, its answers are reused."""
        frame = self._session.run.part(part)
        if frame is not None:
            self._frames[part] = frame
        return frame is not None

    def _keep(self, part: str, frame: pl.DataFrame, name: str, began: float) -> None:
        seconds = self._tally.seconds
        seconds[name] = seconds.get(name, 0.0) + time.monotonic() - began
        self._session.run.write_part(part, frame)
        self._frames[part] = frame
        self._save()

    def _analysed(self, ground: Ground) -> Cell:
        structures: dict[tuple[int, ...], Structure] = {}
        found = []
        for i, (name, answered) in enumerate(ground.answered.items()):
            self._on_progress(f"{ground.setting}: identifying {name}", i, len(ground.answered))
            found.append(_found(ground, name, answered, structures))
        setting, (_, contexts, queries) = ground.setting, ground.probes.design.shape
        identifiability = Identifiability.of(ground.probes.separation, contexts)
        sizes = ground.probes.design.sizes
        return Cell(
            setting.task.name, setting.n, setting.seed, sizes, contexts, queries, ground.source, identifiability,
            tuple(found), tuple(ground.probes.design.seen.tolist()),
        )  # fmt: skip

    def _save(self) -> None:
        if self._calling is not None:
            self._calling.count_spending(self._tally)
        self._session.results = self._tally.data()
        self._session.save()


def _name_apart(grounds: Sequence[Ground]) -> None:
    """A subject of several files in one setting has the file in its name, everywhere."""
    answered = Counter((str(ground.setting), name) for ground in grounds for name in ground.answered)
    several = {name for (_, name), files in answered.items() if files > 1}
    for ground in grounds:
        ground.answered = {
            f"{name} [{ground.source}]" if name in several else name: given for name, given in ground.answered.items()
        }


def _found(ground: Ground, name: str, answered: Answered, structures: dict[tuple[int, ...], Structure]) -> Found:
    """What a subject's answers tell. Numbers of examples at which it answered in too few contexts are left out."""
    contexts = (~np.isnan(answered.answers)).any(axis=-1).sum(axis=1)  # (M,)
    enough = tuple(int(m) for m in np.flatnonzero(contexts >= LEAST_CONTEXTS))
    if not enough:
        return Found(name, answered.share, answered.probabilities, None)
    chosen = list(enough)
    if enough not in structures:
        design = ground.probes.design
        structures[enough] = Structure(design if len(enough) == design.shape[0] else design.at(chosen))
    structure, ceiling = structures[enough], ground.probes.ceiling
    found = identify(
        structure.design, answered.answers[chosen], probabilities=answered.probabilities,
        repeats=None if answered.repeats is None else answered.repeats.at(chosen),
        ceiling=None if ceiling is None else ceiling[chosen], structure=structure, seed=ground.setting.seed,
    )  # fmt: skip
    return Found(name, answered.share, answered.probabilities, found)

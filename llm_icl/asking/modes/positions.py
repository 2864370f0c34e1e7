"""Both labels' probabilities after one prompt."""

from collections.abc import Sequence

from llm_icl.asking.modes.base import Mode, Plan, Planned
from llm_icl.asking.replies import Outcome, from_scores, scores_fault
from llm_icl.backends.base import LanguageModel, LocalModel, TokenModel, WritingModel
from llm_icl.backends.exchange import PositionsRequest, Reply
from llm_icl.problems import Problems
from llm_icl.prompting.layout import CannotScoreError, label_gap, label_places, separate_gap
from llm_icl.prompting.rendering import render
from llm_icl.prompting.templates import Prompt


class PositionsMode(Mode[PositionsRequest]):
    """One call for each position of each problem, problem by problem."""

    name = "positions"

    def plan(
        self, model: LanguageModel, prompt: Prompt, problems: Problems, positions: Sequence[int], repeats: int
    ) -> Plan:
        assert isinstance(model, TokenModel)
        try:
            gap = label_gap(prompt, problems, model.as_text)
        except CannotScoreError:
            gap = separate_gap(prompt, problems, model.as_text, model.answered)
        calls, too_long = [], []
        for i in range(len(problems)):
            texts = [model.as_text(render(prompt, problems, i, position)) for position in positions]
            places = label_places(texts, gap, prompt.labels, model.tokenize)
            for position, text, place in zip(positions, texts, places, strict=True):
                if len(place.context) + max(len(place.zero), len(place.one)) > model.context_length:
                    too_long.append((i, position))
                    continue
                request = PositionsRequest(prompt=text + gap, labels=prompt.labels, place=place)
                calls.append(Planned(i, (position,), text + gap, request))
        return Plan(self.name, tuple(calls), tuple(too_long))

    def ask(self, model: WritingModel, requests: Sequence[PositionsRequest], shared: int) -> list[Reply]:
        assert isinstance(model, LocalModel)
        return [Reply.of_scores([scores]) for scores in model.score_positions([request.place for request in requests])]

    def fault(self, reply: Reply) -> str:
        return scores_fault(reply)

    def read(self, reply: Reply, prompt: Prompt) -> list[Outcome]:
        return from_scores(reply)

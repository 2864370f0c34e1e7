"""Both labels' probabilities at all positions, from one pass over the longest prompt."""

from collections.abc import Sequence

from llm_icl.asking.modes.base import Mode, Plan, Planned
from llm_icl.asking.replies import Outcome, from_scores, scores_fault
from llm_icl.backends.base import LanguageModel, LocalModel, TokenModel, WritingModel
from llm_icl.backends.exchange import CurveRequest, Reply
from llm_icl.problems import Problems
from llm_icl.prompting.layout import CannotScoreError, Curve, curve_of, label_gap, shared_text
from llm_icl.prompting.rendering import render
from llm_icl.prompting.templates import Prompt


class CurveMode(Mode[CurveRequest]):
    """One call per problem: the longest prompt that fits."""

    name = "curve"

    def plan(
        self, model: LanguageModel, prompt: Prompt, problems: Problems, positions: Sequence[int], repeats: int
    ) -> Plan:
        assert isinstance(model, TokenModel)
        gap = label_gap(prompt, problems, model.as_text)
        shared = len(model.tokenize([shared_text(prompt, problems, model.as_text)])[0]) - 1
        calls, curves, too_long = [], [], []
        for i in range(len(problems)):
            curve = curve_of(prompt, problems, i, positions, gap, model.as_text, model.tokenize)
            fitting = [j for j, end in enumerate(curve.ends) if end < model.context_length]
            too_long += [(i, position) for position in positions[len(fitting) :]]
            if not fitting:
                continue
            if len(fitting) < len(positions):
                curve = curve_of(prompt, problems, i, positions[: len(fitting)], gap, model.as_text, model.tokenize)
            kept = tuple(positions[: len(fitting)])
            text = model.as_text(render(prompt, problems, i, kept[-1])) + gap
            turn = model.turning_length
            if turn is not None and curve.ends[0] <= turn < curve.ends[-1]:
                raise CannotScoreError(
                    f"the model encodes the positions of prompts of more than {turn} tokens differently, so the "
                    "longest prompt does not give the probabilities of the shorter ones"
                )
            calls.append(Planned(i, kept, text, CurveRequest(prompt=text, curve=curve)))
            curves.append(curve)
        same = all(curve.tokens[:shared] == curves[0].tokens[:shared] for curve in curves)
        shortest = min((curve.ends[0] for curve in curves), default=0)
        return Plan(self.name, tuple(calls), tuple(too_long), shared if same and shared < shortest else 0)

    def min_positions(self, model: LanguageModel) -> int:
        return model.least_curve

    def ask(self, model: WritingModel, requests: Sequence[CurveRequest], shared: int) -> list[Reply]:
        assert isinstance(model, LocalModel)
        curves = [request.curve for request in requests]
        scores = model.score_curves(curves, max(shared, _common_examples(curves)))
        return [Reply.of_scores(curve) for curve in scores]

    def fault(self, reply: Reply) -> str:
        return scores_fault(reply)

    def read(self, reply: Reply, prompt: Prompt) -> list[Outcome]:
        return from_scores(reply)


def _common_examples(curves: Sequence[Curve]) -> int:
    """The number of first tokens that all curves of a batch share, if these are examples: most of each prompt."""
    shortest, longest = min(curve.ends[0] for curve in curves) - 1, max(len(curve.tokens) for curve in curves)
    columns = zip(*(curve.tokens[:shortest] for curve in curves), strict=True)
    common = next((i for i, tokens in enumerate(columns) if len(set(tokens)) > 1), shortest)
    return common if len(curves) > 1 and 2 * common > longest else 0

"""The top tokens at each position of a text (echo): a whole learning curve from one request."""

from collections.abc import Sequence

from llm_icl.asking.modes.base import Mode, Plan, Planned
from llm_icl.asking.replies import Outcome, from_top, tops_fault
from llm_icl.backends.base import LanguageModel
from llm_icl.backends.exchange import EchoRequest, Reply
from llm_icl.problems import Problems
from llm_icl.prompting.layout import CannotScoreError, label_gap
from llm_icl.prompting.rendering import render
from llm_icl.prompting.templates import Prompt

_MERGED = "the label is not a token of its own in the echoed prompt (--mode top needs no echo)"


class EchoMode(Mode[EchoRequest]):
    """One call per problem: the longest prompt, and the character at which each shorter prompt ends."""

    name = "echo"

    def plan(
        self, model: LanguageModel, prompt: Prompt, problems: Problems, positions: Sequence[int], repeats: int
    ) -> Plan:
        gap = label_gap(prompt, problems, model.wire)
        calls = []
        for i in range(len(problems)):
            texts = [model.wire(render(prompt, problems, i, position)) for position in positions]
            if not all(texts[-1].startswith(text) for text in texts):
                raise CannotScoreError(f"prompt '{prompt.name}': a longer prompt does not contain the shorter ones")
            labels = [prompt.labels[problems.shown[i, position]] for position in positions[:-1]]
            ends = tuple(len(text) for text in texts)
            request = EchoRequest(prompt=texts[-1], ends=ends, gap=len(gap), labels=(*labels, ""))
            calls.append(Planned(i, tuple(positions), texts[-1], request))
        return Plan(self.name, tuple(calls))

    def fault(self, reply: Reply) -> str:
        return tops_fault(reply) if any(reply.tops or ()) else reply.absent or _MERGED

    def read(self, reply: Reply, prompt: Prompt) -> list[Outcome]:
        return [from_top(top, prompt, reply.absent or _MERGED) for top in reply.tops or ()]

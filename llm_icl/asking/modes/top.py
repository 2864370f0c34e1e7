"""The top next tokens (top logprobs) after one prompt, in which the labels are looked up."""

from llm_icl.asking.modes.generate import GenerateMode
from llm_icl.asking.replies import Outcome, from_text, from_top, tops_fault, with_probability
from llm_icl.backends.exchange import Reply, TopRequest
from llm_icl.prompting.templates import Prompt


class TopMode(GenerateMode):
    """The calls of generation, whose text says what the answer is; the top tokens at its place give the probability."""

    name = "top"
    writes = False
    request = TopRequest

    def fault(self, reply: Reply) -> str:
        return tops_fault(reply)

    def read(self, reply: Reply, prompt: Prompt) -> list[Outcome]:
        (top,) = reply.tops or (None,)
        return [with_probability(from_text(reply, prompt), from_top(top, prompt, reply.absent))]

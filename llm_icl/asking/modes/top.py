"""The top next tokens (top logprobs) after one prompt, in which the labels are looked up."""

from llm_icl.asking.modes.generate import GenerateMode
from llm_icl.asking.replies import Outcome, from_text, from_top
from llm_icl.backends.exchange import Reply, TopRequest
from llm_icl.prompting.templates import Prompt


class TopMode(GenerateMode):
    """The calls of generation; if no label is among the top tokens, the generated text is parsed."""

    name = "top"
    writes = False
    request = TopRequest

    def read(self, reply: Reply, prompt: Prompt) -> list[Outcome]:
        written = from_text(reply, prompt)
        return [from_top(top, prompt, written) for top in reply.tops or (None,)]

"""The card of a language model that was trained from scratch."""

from collections.abc import Mapping

import numpy as np
import yaml

from llm_icl import __version__
from llm_icl.analysis.intervals import Floats, student
from llm_icl.experiments.language_modelling.request import LanguageRequest

_HEAD = {"library_name": "llm-icl", "tags": ["in-context-learning", "language-modelling", "llm-icl"]}


def language_card(
    request: LanguageRequest, attention: str, seed: int, parameters: int, losses: Mapping[int, Floats]
) -> str:
    """The text of README.md in the model's folder. `losses` (windows,) are in nats, by length of the context."""
    schedule = request.schedule
    facts = {
        "attention": f"`{attention}`",
        "size": f"{request.layers} layers of width {request.width}, {request.heads} heads, {parameters:,} parameters",
        "trained for": f"{schedule.steps:,} steps of {schedule.batch} sequences of {schedule.length} tokens, peak "
        f"learning rate {schedule.rate:g}, seed {seed}",
        "tokens": f"{request.vocabulary:,}, learned from the training text",
        "made with": f"llm-icl {__version__}",
    }
    lines = [
        f"---\n{yaml.safe_dump(_HEAD, sort_keys=False)}---\n",
        f"# A small language model with {attention} attention\n",
        "Trained from scratch, to compare attentions; not for use on its own.\n",
        "| | |\n| --- | --- |",
        *(f"| {key} | {text} |" for key, text in facts.items()),
        "\n## Perplexity\n",
        "On held-out text, with 95 % intervals over its windows: this model on other text of the same source.\n",
        "| tokens of context | windows | perplexity |\n| --- | --- | --- |",
        *(f"| {length} | {len(found)} | {_perplexity(found / request.context)} |" for length, found in losses.items()),
        "\n## Use\n",
        "    llm-icl eval --model FOLDER --task majority --n 5\n",
        "## Licence and citation\n",
        "The program is under Apache-2.0; whether the weights may be given away depends on the training text. Please "
        "cite llm-icl, with its version, and for momentum attention Dai, Sun, Dong, Hao, Ma, Sui and Wei: *Why Can GPT "
        "Learn In-Context? Language Models Secretly Perform Gradient Descent as Meta-Optimizers*. Findings of ACL "
        "2023. <https://arxiv.org/abs/2212.10559>",
    ]
    return "\n".join(lines) + "\n"


def _perplexity(losses: Floats) -> str:
    """From losses per token (windows,)."""
    value, low, high = np.exp(student(losses)).tolist()
    return f"{value:.2f}" + ("" if np.isnan(low) else f" [{low:.2f}, {high:.2f}]")

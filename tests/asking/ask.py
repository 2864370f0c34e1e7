"""A model asked in one mode, as an evaluation does it.

Random models give every token about the same probability: their labels' is not asked for, so that the modes can be
compared.
"""

from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

from llm_icl.asking import replies
from llm_icl.asking.answers import AnsweredPlan, answer_plan
from llm_icl.asking.cache import CallCache
from llm_icl.asking.channels import LocalChannel
from llm_icl.asking.plan import plan_for
from llm_icl.asking.sending import Sender
from llm_icl.backends.base import LocalModel
from llm_icl.config.specs import parse_specs
from llm_icl.problems import Problems
from llm_icl.prompting import load_prompt


def ask(
    model: LocalModel, prompt: str, problems: Problems, folder: Path, mode: str, positions: Sequence[int] | None = None
) -> AnsweredPlan:
    """Answer a plan with a cache of its own in `folder`."""
    positions = range(problems.points) if positions is None else positions
    loaded = load_prompt(parse_specs([prompt])[0])
    cache = CallCache(folder / f"{mode}.sqlite")
    plan = plan_for(model, loaded, problems, positions, mode)
    channel = LocalChannel("m", model, plan, cache)
    with patch.object(replies, "LEAST_MASS", 0.0):
        return answer_plan(plan, model.identity(), loaded, problems, positions, cache, channel)


def ask_remote(sender: Sender, prompt: str, problems: Problems, folder: Path, mode: str) -> AnsweredPlan:
    """The same over the channel to a server."""
    positions = range(problems.points)
    loaded = load_prompt(parse_specs([prompt])[0])
    plan = plan_for(sender.model, loaded, problems, positions, mode)
    cache = CallCache(folder / f"{mode}.sqlite")
    with patch.object(replies, "LEAST_MASS", 0.0):
        return answer_plan(plan, sender.model.identity(), loaded, problems, positions, cache, sender)

"""Which calls answer a cell: those of the best mode that is exact."""

import dataclasses
from collections.abc import Sequence

from llm_icl.asking.modes import MODES
from llm_icl.asking.modes.base import Plan
from llm_icl.backends.base import LanguageModel
from llm_icl.errors import RequestError
from llm_icl.problems import Problems
from llm_icl.prompting.layout import CannotScoreError
from llm_icl.prompting.templates import Prompt


def plan_for(
    model: LanguageModel,
    prompt: Prompt,
    problems: Problems,
    positions: Sequence[int],
    mode: str = "auto",
    repeats: int = 1,
) -> Plan:
    """Choose the best mode that is exact for all the problems, or the one that was asked for.

    Raises RequestError where the asked one is not possible.
    """
    if mode != "auto" and mode not in model.modes:
        raise RequestError(f"the model can be asked in the modes {', '.join(model.modes)}, not in '{mode}'")
    reasons: list[str] = []
    for name in model.modes if mode == "auto" else (mode,):
        candidate = MODES[name]
        try:
            if repeats > 1 and not candidate.writes:
                raise CannotScoreError("repeats are for written answers")
            if not (candidate.writes or prompt.label_comes_next):
                raise CannotScoreError(f"prompt '{prompt.name}' asks for more than the label")
            if mode == "auto" and len(positions) < (least := candidate.least_positions(model)):
                raise CannotScoreError(f"one by one is quicker for fewer than {least} positions")
            plan = candidate.plan(model, prompt, problems, positions, repeats)
            return dataclasses.replace(plan, reasons=tuple(reasons))
        except CannotScoreError as reason:
            reasons.append(f"{name}: {reason}")
    raise RequestError(f"the model cannot be asked so: {'; '.join(reasons)}")

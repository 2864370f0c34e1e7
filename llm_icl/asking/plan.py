"""Plans the calls for a cell: those of the preferred mode that is exact."""

import dataclasses
from collections.abc import Sequence

from llm_icl.asking.modes import MODES
from llm_icl.asking.modes.base import Plan
from llm_icl.backends.base import LanguageModel
from llm_icl.errors import RequestError
from llm_icl.problems import Problems
from llm_icl.prompting.layout import CannotScoreError
from llm_icl.prompting.rendering import render
from llm_icl.prompting.templates import Prompt


def plan_for(
    model: LanguageModel,
    prompt: Prompt,
    problems: Problems,
    positions: Sequence[int],
    mode: str = "auto",
    repeats: int = 1,
) -> Plan:
    """Choose the preferred mode that is exact for all problems, or the requested mode.

    Raises RequestError if the requested mode is not possible.
    """
    unavailable = [f"{name}: {reason}" for name, reason in model.unavailable.items()]
    if mode != "auto" and mode not in model.modes:
        because = f" ({model.unavailable[mode]})" if mode in model.unavailable else ""
        raise RequestError(
            f"--mode {mode} is not supported by this model{because}: supported modes are {', '.join(model.modes)}"
        )
    reasons: list[str] = unavailable if mode == "auto" else []
    for name in model.modes if mode == "auto" else (mode,):
        candidate = MODES[name]
        try:
            if repeats > 1 and not candidate.writes:
                raise CannotScoreError("repeats require generated answers")
            if not (candidate.writes or prompt.label_comes_next):
                raise CannotScoreError(f"prompt '{prompt.name}' asks for more than the label")
            if mode == "auto" and len(positions) < (minimum := candidate.min_positions(model)):
                raise CannotScoreError(f"separate prompts are faster for fewer than {minimum} positions")
            plan = candidate.plan(model, prompt, problems, positions, repeats)
            remarks = model.remarks(render(prompt, problems, 0, positions[-1]))
            return dataclasses.replace(plan, reasons=(*reasons, *remarks), alike=problems.alike)
        except CannotScoreError as reason:
            reasons.append(f"{name}: {reason}")
    raise RequestError(f"no query mode is possible for this model and prompt: {'; '.join(reasons)}")

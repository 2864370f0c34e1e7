"""The scale of a suite: as its card says, for a laptop, or with what the card changes for another one."""

from dataclasses import replace
from typing import Any

from llm_icl.config.cards import Card
from llm_icl.errors import nearest

LAPTOP = "laptop"


def scaled(card: Card, scale: str) -> Card:
    """The card at a scale: its keys, and axes of its matrix, replaced by those of `scales: {NAME: …}`.

    Raises RequestError for a scale that the suite does not have.
    """
    scales = card.fields.get("scales", {})
    if not isinstance(scales, dict) or not all(isinstance(changes, dict) for changes in scales.values()):
        raise card.error("'scales' must name scales, each with the keys that it changes", "scales")
    scales = {str(name): changes for name, changes in scales.items()}
    if LAPTOP in scales:
        raise card.error(f"the scale '{LAPTOP}' is the card itself, and is not listed", "scales")
    if any("kind" in changes for changes in scales.values()):
        raise card.error("a scale cannot change the 'kind'", "scales")
    fields = {key: value for key, value in card.fields.items() if key != "scales"}
    if scale == LAPTOP:
        return replace(card, fields=fields)
    if scale not in scales:
        known = [LAPTOP, *scales]
        raise card.error(f"no scale '{scale}': {nearest(scale, known)}known are {', '.join(known)}", "scales")
    changes: dict[str, Any] = dict(scales[scale])
    matrix, axes = fields.get("matrix"), changes.pop("matrix", {})
    if not isinstance(axes, dict) or not isinstance(matrix, dict):
        raise card.error(f"'matrix' of the scale '{scale}' must give lists", "scales")
    return replace(card, fields={**fields, **changes, "matrix": {**matrix, **axes}})

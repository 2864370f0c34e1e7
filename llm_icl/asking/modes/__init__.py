"""Query modes: how a model's labels are obtained. Each mode is one file: which calls answer a cell, how a local model
is called, and how a reply is parsed.
"""

from typing import Any

from llm_icl.asking.modes.base import Mode
from llm_icl.asking.modes.curve import CurveMode
from llm_icl.asking.modes.echo import EchoMode
from llm_icl.asking.modes.generate import GenerateMode
from llm_icl.asking.modes.positions import PositionsMode
from llm_icl.asking.modes.top import TopMode

# By name, best first.
MODES: dict[str, Mode[Any]] = {
    mode.name: mode for mode in (CurveMode(), EchoMode(), PositionsMode(), TopMode(), GenerateMode())
}

__all__ = ["MODES", "Mode"]

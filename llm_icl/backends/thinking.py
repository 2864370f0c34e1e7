"""The answer in a text that begins with the model's reasoning."""

import re

_WORDS = r"(?:\w+:)?(?:think|thinking|thought|thoughts|reasoning)"
# What begins the reasoning and what ends it, in the formats of open models.
_BEGINS = re.compile(
    rf"\s*(?:<{_WORDS}>|\[THINK\]|◁think▷|<\|START_THINKING\|>|<\|begin_of_(?:thinking|thought)\|>"
    r"|(?:<\|start\|>assistant)?<\|channel\|>(?!final))"
)
END = re.compile(
    rf"(?:</{_WORDS}>|\[/THINK\]|◁/think▷|<\|END_THINKING\|>|<\|end_of_(?:thinking|thought)\|>"
    r"|<\|channel\|>final<\|message\|>)\s*"
)
_SPECIAL_AT_END = re.compile(r"(?:<\|\w+\|>\s*)+$")


def without_thinking(text: str) -> str | None:
    """The text after the reasoning; None if the reasoning has not ended. A text without reasoning stays as it is."""
    ends = list(END.finditer(text))
    if ends:
        return _SPECIAL_AT_END.sub("", text[ends[-1].end() :])
    return None if _BEGINS.match(text) else text

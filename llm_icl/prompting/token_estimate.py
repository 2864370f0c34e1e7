"""About how many tokens a text has, without a tokenizer."""

import re
from collections.abc import Sequence


def estimated_tokens(texts: Sequence[str]) -> int:
    """About how many tokens texts have, without a tokenizer: words, digits, signs, and the blanks before digits are
    one each. Some vocabularies have tokens of up to three digits, which makes it too many where bits stand together.
    """
    return sum(len(_TOKEN.findall(text)) for text in texts)


_TOKEN = re.compile(r" ?[^\W\d_]{1,12}|\d| ?[^\s\w]|\s+")

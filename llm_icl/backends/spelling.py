"""The texts of tokens as servers write them: plainly, or as tokenizers store them (`▁1`, `Ġ1`, `<0x31>`).

A reply does not say which of the three it uses, so a token is read in all of them.
"""

import re
from collections.abc import Callable
from functools import lru_cache

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
# Byte-level BPE stores a printable byte as the character with its number, the others as those from 256 on.
_PRINTABLE = (*range(33, 127), *range(161, 173), *range(174, 256))
_OTHERS = (byte for byte in range(256) if byte not in _PRINTABLE)
_BYTES = {chr(byte): byte for byte in _PRINTABLE} | {chr(256 + i): byte for i, byte in enumerate(_OTHERS)}


def plain(token: str) -> bytes:
    return token.encode(errors="replace")


def sentencepiece(token: str) -> bytes:
    """`▁` is a space, `<0x31>` a byte."""
    byte = _BYTE.fullmatch(token)
    return bytes([int(byte[1], 16)]) if byte else plain(token.replace("▁", " "))


def byte_level(token: str) -> bytes:
    """Each character is a byte (`Ġ` a space, `Ċ` a line break); texts with other characters are plain."""
    stored = [_BYTES.get(character, -1) for character in token]
    return plain(token) if -1 in stored else bytes(stored)


SPELLINGS: tuple[Callable[[str], bytes], ...] = (plain, sentencepiece, byte_level)


def spells(token: str, label: str) -> bool:
    """Whether a token is the label, with or without blanks around it. Other digits (１), signs (1.) and cases are
    other texts, as in a written reply.
    """
    return any(text.strip() == label for text in _texts(token))


def begins(token: str, label: str) -> bool:
    """Whether further tokens may make a token the label: it is the beginning of its text, or of the bytes of one of its
    characters (U+FFFD is what servers may write for these).
    """
    for text in map(str.lstrip, _texts(token)):
        start = text.rstrip("\ufffd")
        if len(start) < len(label) and label.startswith(start):
            return bool(start) if text == start else not label[len(start)].isascii()
    return False


@lru_cache(maxsize=4096)
def _texts(token: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(spelling(token).decode(errors="replace") for spelling in SPELLINGS))

"""Text → tokens, in one way for every backend, whichever engine runs the model."""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any

from llm_icl.errors import RequestError

# Tokens of texts, with the tokenizer's special tokens or without.
Encode = Callable[[Sequence[str], bool], list[list[int]]]

_TEXTS = ("Input: 0 1\nLabel: ", "a ", "")


class TextTokens:
    """Writes prompts as tokens.

    A prompt goes on, so the tokens that a tokenizer appends to a text (end of sequence, separator) are left out: they
    are `after`. Those that it puts before a text (beginning of sequence) appear once, even if a chat template writes
    them as well: they are `before`, empty if there are none. `declared` is the beginning-of-sequence token in name,
    which not every tokenizer writes. `lost` finds what a tokenizer cannot write of a text.
    """

    def __init__(
        self, name: str, encode: Encode, declared: int | None = None, lost: Callable[[str], str] = lambda text: ""
    ) -> None:
        """Raises RequestError for a tokenizer whose own tokens around a text cannot be told from the text's."""
        self._name, self._encode, self._lost = name, encode, lost
        plain, other = self.plain([text + "0" for text in _TEXTS]), self.plain([text + "1" for text in _TEXTS])
        if any(one != two and one[-1:] == two[-1:] for one, two in zip(plain, other, strict=True)):
            raise RequestError(f"the tokenizer of '{name}' writes the same token after every text")
        for text, own in zip(_TEXTS, plain, strict=True):
            whole = encode([text + "0"], True)[0]
            starts = [i for i in range(len(whole)) if own and whole[i : i + len(own)] == own]
            if len(starts) <= 1:  # more where the unknown token stands for the text, and also begins it
                break
        if len(starts) != 1:
            raise RequestError(f"the tokenizer of '{name}' writes a text differently between its special tokens")
        start = starts[0]
        self.before = [token for token, _ in groupby(whole[:start])]
        self.after = whole[start + len(own) :]
        self._opening = self.before or ([] if declared is None else [declared])

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of whole prompts. Raises RequestError if a prompt cannot be written."""
        found = [self.begun_once(tokens) for tokens in self.plain(texts)]
        self.check(max(texts, key=len, default=""))
        return found

    def plain(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of texts that nothing is added to."""
        try:
            return self._encode(texts, False)
        except RequestError:
            raise
        except Exception as problem:  # tokenizers raise anything
            reason = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
            raise RequestError(f"the tokenizer of '{self._name}' fails: {reason}") from None

    def check(self, text: str) -> None:
        """Raise RequestError if a part of a text has no token of its own, or an unknown one."""
        if lost := self._lost(text):
            raise RequestError(f"the tokenizer of '{self._name}' has no token for {lost!r}")

    def identity(self) -> dict[str, Any]:
        """What of a tokenizer changes its model's replies, beyond the text itself."""
        return {"appended tokens": f"{self.after} left out"} if self.after else {}

    def begun_once(self, tokens: Sequence[int]) -> list[int]:
        """The same tokens, with one beginning."""
        opening, rest = self._opening, list(tokens)
        while opening and rest[: len(opening)] == opening:
            rest = rest[len(opening) :]
        begins = bool(self.before) or len(rest) < len(tokens)
        return [*opening, *rest] if begins else rest


def tokens_of(tokenizer: Any, name: str) -> TextTokens:
    """A tokenizer of transformers."""
    model: Any = getattr(getattr(tokenizer, "backend_tokenizer", None), "model", None)
    if getattr(model, "dropout", None):
        model.dropout = None  # a regulariser of training, with which no two calls agree

    def encode(texts: Sequence[str], special: bool) -> list[list[int]]:
        return list(tokenizer(list(texts), add_special_tokens=special)["input_ids"])

    return TextTokens(name, encode, tokenizer.bos_token_id, _Alphabet(tokenizer).lost)


def embeddings_of(model: Any) -> int:
    """The number of tokens that a model has embeddings for."""
    return int(model.get_input_embeddings().weight.shape[0])


def check_tokens(name: str, embeddings: int, sequences: Iterable[Sequence[int]]) -> None:
    """Raise RequestError if a token has no embedding: the tokenizer is another model's."""
    largest = max((token for tokens in sequences for token in tokens), default=0)
    if largest >= embeddings:
        fault = f"its tokenizer writes token {largest}, and it has embeddings for {embeddings}"
        raise RequestError(f"model '{name}' cannot be used: {fault}")


class _Alphabet:
    """What a tokenizer of transformers can write."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._known: set[str] = set()
        # Of a tokenizer that is written in Python, it is not known where in the text a token stands.
        self._backend: Any = getattr(tokenizer, "backend_tokenizer", None)
        model = getattr(self._backend, "model", None)
        named = getattr(model, "unk_token", None)  # which the tokenizer may not declare
        undeclared = {
            getattr(model, "unk_id", None),
            self._backend.token_to_id(named) if self._backend and named else None,
        }
        self._unknown = {getattr(tokenizer, "unk_token_id", None), *undeclared} - {None}

    def lost(self, text: str) -> str:
        """A part of a text that is written as the unknown token, or not at all; "" if there is none."""
        return self._unknown_part(text) or self._dropped(text)

    def _unknown_part(self, text: str) -> str:
        how = {"return_offsets_mapping": True} if self._backend else {}
        found = self._tokenizer(text, add_special_tokens=False, **how)
        tokens = found["input_ids"]
        if not self._unknown & set(tokens):
            return ""
        spans = found["offset_mapping"] if self._backend else [(0, len(text))] * len(tokens)
        for token, (start, end) in zip(tokens, spans, strict=True):
            part = text[start:end].strip()
            if token in self._unknown and part and self._tokenizer.convert_ids_to_tokens(token) not in part:
                return part[:40]
        return ""

    def _dropped(self, text: str) -> str:
        """Offsets do not show what is dropped: those of the rest close up."""
        new = {char for char in set(text) - self._known if char.isprintable() and not char.isspace()}
        dropped = {char for char in new if self._drops(char)}
        self._known |= new - dropped
        if dropped:  # unless it only stands in tokens that were added to the vocabulary as they are
            for token in self._tokenizer.get_added_vocab():
                text = text.replace(token, "")
        return min(dropped & set(text), default="")

    def _drops(self, char: str) -> bool:
        try:
            once, twice = self._tokenizer([char, 2 * char], add_special_tokens=False)["input_ids"]
        except Exception:  # unknown when it stands alone, and no token for that
            return False
        return bool(once == twice and not self._unknown & set(once))

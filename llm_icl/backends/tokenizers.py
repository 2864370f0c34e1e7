"""A tokenizer of transformers, whichever engine runs its model."""

from collections.abc import Sequence
from typing import Any

from llm_icl.errors import RequestError
from llm_icl.prompting.rendering import Rendered


def text_for(tokenizer: Any, rendered: Rendered, chat: bool, name: str) -> str:
    """The text of a prompt: in the chat format where `chat` says so or the prompt is made of turns.

    Raises RequestError where the model has no chat format and the prompt needs one.
    """
    if not (chat or rendered.has_turns):
        return rendered.completion()
    if not tokenizer.chat_template:
        raise RequestError(f"prompt '{rendered.prompt.name}' is made of turns, and {name} has no chat format")
    turns = [{"role": message.role, "content": message.content} for message in rendered.messages()]
    return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))


def tokens_of(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """The tokens of texts, with one for the beginning of the sequence where the model has it, never two."""
    return [once_begun(tokens, tokenizer.bos_token_id) for tokens in tokenizer(list(texts))["input_ids"]]


def once_begun(tokens: Sequence[int], beginning: int | None) -> list[int]:
    """A chat format may have written the beginning of the sequence, and the tokenizer once more."""
    doubled = len(tokens) > 1 and tokens[0] == tokens[1] == beginning
    return list(tokens[1:] if doubled else tokens)

"""A tokenizer of transformers, whichever engine runs its model."""

from collections.abc import Sequence
from typing import Any

from llm_icl.errors import RequestError
from llm_icl.prompting.rendering import Rendered


def text_for(tokenizer: Any, rendered: Rendered, chat: bool, name: str) -> str:
    """The text of a prompt: in the chat format if `chat` is set or the prompt has turns.

    Raises RequestError if the prompt has turns and the model has no chat template.
    """
    if not (chat or rendered.has_turns):
        return rendered.completion()
    if not tokenizer.chat_template:
        raise RequestError(f"prompt '{rendered.prompt.name}' has turns, but {name} has no chat template")
    turns = [{"role": message.role, "content": message.content} for message in rendered.messages()]
    return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))


def tokens_of(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """The tokens of texts, with one beginning-of-sequence token if the model has it, never two."""
    return [once_begun(tokens, tokenizer.bos_token_id) for tokens in tokenizer(list(texts))["input_ids"]]


def once_begun(tokens: Sequence[int], beginning: int | None) -> list[int]:
    """Remove a duplicate beginning-of-sequence token (from the chat template and the tokenizer)."""
    doubled = len(tokens) > 1 and tokens[0] == tokens[1] == beginning
    return list(tokens[1:] if doubled else tokens)

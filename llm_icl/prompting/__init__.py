"""From problems to text and back: templates, label positions, and parsing of answers."""

from llm_icl.prompting.rendering import Message, Rendered, render
from llm_icl.prompting.templates import Prompt, load_prompt, prompt_names

__all__ = ["Message", "Prompt", "Rendered", "load_prompt", "prompt_names", "render"]

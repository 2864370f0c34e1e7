"""Models at the local server, and questions for them."""

from llm_icl.asking.attempts import Patience
from llm_icl.asking.cache import call_key
from llm_icl.backends import find_model
from llm_icl.backends.exchange import GenerateRequest, TopRequest
from llm_icl.backends.hosted.anthropic import AnthropicModel
from llm_icl.backends.hosted.openai import OpenAIModel

QUICK = Patience(attempts=5, first_wait=0.01, longest_wait=0.05)


def openai(provider, options="timeout=20", **fields):
    return OpenAIModel(find_model(f"openai/gpt-4.1:{options}", f"{provider.url}/v1"))


def anthropic(provider, options="timeout=20"):
    return AnthropicModel(find_model(f"anthropic/claude-sonnet-5-5:{options}", provider.url))


def questions(model, count=6, mode=None):
    """By key, with a prompt each that nothing else has."""
    mode = mode or model.modes[0]
    found = {}
    for i in range(count):
        prompt = [{"role": "user", "content": f"Input: {i}\nLabel:"}]
        kind = TopRequest if mode == "top" else GenerateRequest
        labels = ("0", "1") if model.constrains else ()
        request = kind(prompt=prompt, stop=("\n",), max_tokens=2, labels=labels)
        found[call_key(model.identity(), request.data())] = request
    return found

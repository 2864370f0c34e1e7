"""2,000 calls to a local server that takes 50 ms for each, 50 in flight (ideal: 2 s): the bars are 2 ms of processor
time a call and 5 s of wall time. For comparison the plainest loop around the SDK, which keeps nothing.
"""

import asyncio
import multiprocessing
import os
import tempfile
import threading
import time
from pathlib import Path

from llm_icl.asking.budget import Budget
from llm_icl.asking.cache import CallCache, call_key
from llm_icl.asking.sending import Sender
from llm_icl.backends import find_model
from llm_icl.backends.exchange import TopRequest
from llm_icl.backends.hosted.openai import OpenAIModel
from tests.benchmarks.timing import show

CALLS, IN_FLIGHT, LATENCY = 2000, 50, 0.05


def run() -> None:
    context = multiprocessing.get_context("spawn")
    address = context.Queue()
    server = context.Process(target=_serve, args=(address,), daemon=True)
    server.start()
    os.environ["OPENAI_API_KEY"] = "none"
    base_url = address.get(timeout=60) + "/v1"
    rows = []
    for name, work in (("llm-icl", _harness), ("plain loop with the SDK", _plain)):
        wall, processor = time.monotonic(), time.process_time()
        work(base_url)
        wall, processor = time.monotonic() - wall, time.process_time() - processor
        rows.append([name, wall, 1000 * processor / CALLS])
    server.terminate()
    show(rows, ["way", "wall, s", "processor time a call, ms"])


def _prompts() -> list[list[dict[str, str]]]:
    examples = "Input: 0 1 1 0 1 0 1\nLabel: 1\n" * 20
    return [[{"role": "user", "content": f"{examples}Input: {i:011b}\nLabel:"}] for i in range(CALLS)]


def _harness(base_url: str) -> None:
    """What `eval` does for the calls of one cell, the import of the SDK included."""
    model = OpenAIModel(find_model("openai/gpt-4.1", base_url))
    questions = {}
    for prompt in _prompts():
        request = TopRequest(prompt=prompt, stop=("\n",), max_tokens=2)
        questions[call_key(model.identity(), request.data())] = request
    with tempfile.TemporaryDirectory() as folder:
        sender = Sender(model, CallCache(Path(folder) / "calls.sqlite"), "bench", Budget(), IN_FLIGHT)
        replies = sender.send(questions, lambda done, what: None)
        sender.close()
    assert len(replies) == CALLS
    assert all(reply.tops for reply in replies.values())


def _plain(base_url: str) -> None:
    import openai

    async def all_of_them() -> None:
        places = asyncio.Semaphore(IN_FLIGHT)
        client = openai.AsyncOpenAI(base_url=base_url, api_key="none")

        async def one(messages: list[dict[str, str]]) -> str:
            async with places:
                reply = await client.chat.completions.create(
                    model="gpt-4.1", messages=messages, max_tokens=2, temperature=0, logprobs=True, top_logprobs=20
                )
            return reply.choices[0].message.content

        assert len(await asyncio.gather(*map(one, _prompts()))) == CALLS

    asyncio.run(all_of_them())


def _serve(address: "multiprocessing.Queue[str]") -> None:
    from tests.servers.provider import Provider

    provider = Provider(latency=LATENCY)
    address.put(provider.url)
    threading.Event().wait()

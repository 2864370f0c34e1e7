"""A local server that speaks both protocols, and problems that are asked of it."""

from itertools import count
from types import SimpleNamespace

import pytest

from llm_icl.asking.answers import answer_plan
from llm_icl.asking.budget import Budget
from llm_icl.asking.cache import CallCache
from llm_icl.asking.plan import plan_for
from llm_icl.asking.sending import Sender
from llm_icl.problems import STATUSES
from llm_icl.prompting.templates import read_prompt
from tests.backends.hosted.making import KEYS, TEMPLATE, TWO, model_of
from tests.servers.provider import Provider


@pytest.fixture
def provider(monkeypatch):
    server = Provider()
    for name in ("OPENAI_CUSTOM_HEADERS", "ANTHROPIC_CUSTOM_HEADERS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
    yield server
    server.die()


@pytest.fixture
def written(tmp_path):
    """A prompt from a template's text."""

    def write(template=TEMPLATE):
        path = tmp_path / "mine.jinja"
        path.write_text(template)
        return read_prompt(path, "mine")

    return write


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    opened = CallCache(tmp_path_factory.mktemp("hosted") / "calls.sqlite")
    yield opened
    opened.close()


NUMBERS = count()


@pytest.fixture
def ask(provider, cache, written):
    """Problems asked as an evaluation does it, one call after the other, and none of them answered from the cache."""

    def do(model, prompt=None, problems=TWO, mode="auto", repeats=1, positions=None):
        model = model_of(model) if isinstance(model, str) else model
        prompt = prompt or written()
        positions = range(problems.points) if positions is None else positions
        plan = plan_for(model, prompt, problems, positions, mode, repeats)
        account = f"run {next(NUMBERS)}"
        sender = Sender(model, cache, account, Budget(), at_once=1)
        provider.received.clear()
        provider.refused = 0
        try:
            answered = answer_plan(plan, {"account": account}, prompt, problems, positions, cache, sender)
        finally:
            sender.close()
        statuses = [[STATUSES[code] for code in row] for row in answered.answers.status]
        cost, calls = cache.spent(account)
        assert calls == len(provider.received) - provider.refused
        return SimpleNamespace(
            model=model, plan=plan, answers=answered.answers, statuses=statuses, cost=cost,
            received=list(provider.received), bodies=[received.body for received in provider.received],
            replies=[exchange["reply"] for exchange in answered.exchanges],
            without_probability=dict(answered.without_probability), failures=answered.failures,
        )  # fmt: skip

    return do

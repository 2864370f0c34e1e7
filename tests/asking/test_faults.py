"""Everything that goes wrong between here and a provider: what is recorded, and how often the server is asked.

The real SDKs talk to a local server that speaks the providers' protocols.
"""

import asyncio
import threading
import time
from collections import Counter

import pytest

from llm_icl.asking.attempts import Patience
from llm_icl.asking.budget import Budget
from llm_icl.asking.cache import CallCache
from llm_icl.asking.intents import Intents
from llm_icl.asking.modes import MODES
from llm_icl.asking.sending import Sender
from llm_icl.backends import find_model
from llm_icl.backends.hosted.openai import OpenAIModel
from llm_icl.config.specs import parse_specs
from llm_icl.errors import RequestError, WorkError
from llm_icl.prompting import load_prompt
from tests.asking.hosted import QUICK, anthropic, openai, questions
from tests.servers.provider import probability, prompt_of

PROMPT = load_prompt(parse_specs(["basic"])[0])


class Sent:
    """What became of questions: the outcome of each in order, what the cache holds, and the sender."""

    def __init__(self, model, tmp_path, asked=None, budget=None, sleep=asyncio.sleep, **options):
        self.cache = CallCache(tmp_path / "calls.sqlite")
        self.sender = Sender(model, self.cache, "run", budget or Budget(), patience=QUICK, sleep=sleep, **options)
        self.asked = asked or questions(model)
        try:
            replies = self.sender.send(self.asked, lambda done, what: None)
        finally:
            self.sender.close()
        self.replies = [replies[key] for key in self.asked]
        self.committed = self.cache.get(self.asked)

    def read(self, reply):
        (outcome,) = MODES[next(iter(self.asked.values())).mode].read(reply, PROMPT)
        return outcome

    @property
    def statuses(self):
        return Counter(reply.status or self.read(reply).status for reply in self.replies)

    def is_right(self):
        """Every label is the one that the pretended model gives, and is on disk."""
        labels = [self.read(reply).label for reply in self.replies]
        truth = [int(probability(prompt_of({"messages": q.prompt})) > 0.5) for q in self.asked.values()]
        return labels == truth and len(self.committed) == len(self.asked)


def first_time(fault):
    return lambda body, before: fault if before == 0 else ""


@pytest.mark.parametrize("make", [openai, anthropic])
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("429", "overload"), ("429 0.2", "overload"), ("500", "server"), ("502", "server"), ("503", "overload"),
        ("529", "overload"), ("hang", "timeout"), ("cut", "connection"), ("garbage", "reply"),
    ],
)  # fmt: skip
def test_what_passes_is_survived_with_one_more_call_for_each_fault(provider, tmp_path, make, fault, kind):
    provider.fault = first_time(fault)
    model = make(provider, "timeout=1") if fault == "hang" else make(provider)
    sent = Sent(model, tmp_path)
    assert sent.is_right()
    assert sent.sender.retries == {kind: 6}
    assert set(provider.prompts().values()) == {2}


@pytest.mark.parametrize("fault", ["no choices", "empty choices"])
def test_a_reply_without_choices_is_asked_for_again(provider, tmp_path, fault):
    provider.fault = first_time(fault)
    sent = Sent(openai(provider), tmp_path)
    assert sent.is_right()
    assert sent.sender.retries == {"reply": 6}


@pytest.mark.parametrize(
    ("fault", "status"),
    [("null", "unparseable"), ("no labels", "unparseable"), ("length", "truncated"), ("refusal", "refused")],
)
def test_a_reply_without_a_label_is_kept_as_what_it_is_and_never_asked_for_again(provider, tmp_path, fault, status):
    provider.fault = lambda body, before: fault
    model = openai(provider)
    sent = Sent(model, tmp_path, questions(model, mode="generate" if fault == "null" else "top"))
    assert sent.statuses == {status: 6}
    assert len(sent.committed) == 6
    assert set(provider.prompts().values()) == {1}


def test_a_label_that_only_the_probabilities_hold_is_read_from_them(provider, tmp_path):
    provider.fault = lambda body, before: "null"
    assert Sent(openai(provider), tmp_path).is_right()


@pytest.mark.parametrize(
    ("fault", "status"), [("length", "truncated"), ("refusal", "refused"), ("too long", "too_long")]
)
def test_what_anthropic_says_of_a_reply_is_its_status(provider, tmp_path, fault, status):
    provider.fault = lambda body, before: fault
    sent = Sent(anthropic(provider), tmp_path)
    assert sent.statuses == {status: 6}
    assert set(provider.prompts().values()) == {1}


def test_the_server_that_asks_for_five_minutes_gets_them(provider, tmp_path):
    provider.fault = lambda body, before: "429 300" if before == 0 else ""
    waited = []

    async def sleep(seconds):
        waited.append(seconds)
        if model_sender:
            model_sender[0]._limiter._resume = 0.0  # five minutes have passed

    model_sender = []
    model = openai(provider)
    cache = CallCache(tmp_path / "calls.sqlite")
    sender = Sender(model, cache, "run", Budget(), at_once=1, patience=QUICK, sleep=sleep)
    model_sender.append(sender)
    asked = questions(model, 2)
    assert len(sender.send(asked, lambda done, what: None)) == 2
    sender.close()
    assert len(cache.get(asked)) == 2
    assert [seconds for seconds in waited if seconds >= 300]
    assert set(provider.prompts().values()) == {2}


def test_a_server_that_asks_for_an_hour_stops_the_run_with_a_way_to_go_on(provider, tmp_path):
    provider.fault = lambda body, before: "429 3600"
    with pytest.raises(WorkError, match=r"requests a wait of 3600 s .* re-run the command"):
        Sent(openai(provider), tmp_path)


def test_an_overload_that_does_not_end_is_an_error_after_bounded_attempts(provider, tmp_path):
    provider.fault = lambda body, before: "503"
    with pytest.raises(WorkError, match=r"nothing has been answered \(HTTP 503"):
        Sent(openai(provider), tmp_path)
    assert len(provider.received) == QUICK.attempts
    provider.received.clear()
    model = openai(provider)
    model.served.add("m")  # something was answered before
    sent = Sent(model, tmp_path)
    assert sent.statuses == {"error": 6}
    assert all("HTTP 503" in reply.message for reply in sent.replies)
    assert not sent.committed
    assert set(provider.prompts().values()) == {QUICK.attempts}


def test_a_server_that_is_gone_stops_the_run_and_does_not_try_every_question(provider, tmp_path):
    model = openai(provider)
    provider.die()
    with pytest.raises(WorkError, match=r"nothing has been answered \(no connection .* re-running the command"):
        Sent(model, tmp_path, questions(model, 500), at_once=5)
    model.served.add("m")  # something was answered before
    with pytest.raises(WorkError, match=r"10 requests in a row got no reply .* re-running the command"):
        Sent(model, tmp_path, questions(model, 500), at_once=5)
    provider.start()


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("401", "the API key is invalid"), ("404", "no such model"), ("quota", "no credit left"),
    ],
)  # fmt: skip
def test_what_is_wrong_for_all_questions_stops_at_once(provider, tmp_path, fault, message):
    provider.fault = lambda body, before: fault
    with pytest.raises(WorkError, match=message) as problem:
        Sent(openai(provider), tmp_path, at_once=1)
    assert "sk-a-secret-of-mine" not in str(problem.value)
    assert len(provider.received) == 1


def test_a_prompt_that_is_too_long_is_no_error_of_the_others(provider, tmp_path):
    provider.fault = lambda body, before: "400 long" if "Input: 3\n" in prompt_of(body) else ""
    sent = Sent(openai(provider), tmp_path)
    assert sent.statuses == {"ok": 5, "too_long": 1}
    assert "maximum context length" in sent.replies[3].message
    assert set(provider.prompts().values()) == {1}


def test_a_parameter_that_is_refused_is_left_out_from_then_on_and_that_is_recorded(provider, tmp_path):
    provider.fault = lambda body, before: "refuses temperature"
    model = openai(provider)
    sent = Sent(model, tmp_path, at_once=1)
    assert sent.is_right()
    assert len(provider.received) == 7  # the first question twice
    assert ["temperature" in received.body for received in provider.received] == [True] + [False] * 6
    assert all(reply.dropped == ["temperature"] for reply in sent.replies)
    assert model.found()["dropped"] == ["temperature"]


def test_without_log_probabilities_the_label_that_was_written_stands(provider, tmp_path):
    provider.fault = lambda body, before: (
        "refuses logprobs" if "logprobs" in body else "refuses top_logprobs" if "top_logprobs" in body else ""
    )
    sent = Sent(openai(provider), tmp_path, at_once=1)
    assert sent.is_right()
    assert all("logprobs" in reply.dropped for reply in sent.replies)


def test_a_server_that_dies_and_returns_costs_nothing_but_time(provider, tmp_path):
    provider.latency = 0.02
    model = openai(provider)
    asked = questions(model, 200)

    def interrupt():
        time.sleep(0.5)
        provider.die()
        time.sleep(0.5)
        provider.start()

    trouble = threading.Thread(target=interrupt)
    trouble.start()
    cache = CallCache(tmp_path / "calls.sqlite")
    patient = Patience(attempts=20, first_wait=0.05, longest_wait=0.2)
    sender = Sender(model, cache, "run", Budget(), at_once=4, patience=patient)
    replies = sender.send(asked, lambda done, what: None)
    sender.close()
    trouble.join()
    assert len(replies) == len(cache.get(asked)) == 200
    assert sender.retries["connection"] >= 1
    # Only what was in flight when the server died was sent again.
    assert sum(count - 1 for count in provider.prompts().values()) <= 4


def test_the_limit_of_calls_stops_before_it_is_passed_and_the_rest_comes_later(provider, tmp_path):
    model = openai(provider)
    with pytest.raises(WorkError, match="stopped before the limit of 4 calls: 4 calls cost"):
        Sent(model, tmp_path, budget=Budget(most_calls=4))
    assert len(provider.received) == 4
    cache = CallCache(tmp_path / "calls.sqlite")
    assert cache.spent("run")[1] == 4
    missing = {key: q for key, q in questions(model).items() if key not in cache.get(questions(model))}
    assert len(missing) == 2
    Sent(model, tmp_path, missing, budget=Budget(None, 6, *cache.spent("run")))
    assert len(provider.received) == 6


def test_the_limit_of_cost_is_never_passed_and_the_cost_is_that_of_the_tokens(provider, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", f"{provider.url}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-another-secret")
    model = OpenAIModel(find_model("gpt-4.1"))
    price = model.entry.price
    asked = questions(model, 40)
    with pytest.raises(WorkError, match=r"stopped before the limit of \$0.001"):
        Sent(model, tmp_path, asked, budget=Budget(most_cost=0.001))
    cache = CallCache(tmp_path / "calls.sqlite")
    calls = cache.get(asked)
    # The server counts a token for each character of the prompt, 7 of them from its cache, and 2 written ones.
    lengths = [len(call.request["prompt"][0]["content"]) for call in calls.values()]
    truth = sum((n - 7) * price["input"] + 7 * price["cached"] + 2 * price["output"] for n in lengths) / 1e6
    cost, count = cache.spent("run")
    assert count == len(calls) == len(provider.received)
    assert cost == pytest.approx(truth)
    greatest = max(model.max_cost(question) for question in asked.values())
    assert 0.001 - greatest < cost <= 0.001  # and the limit is used


def test_what_cannot_be_kept_is_not_asked_for(provider, tmp_path, monkeypatch):
    provider.latency = 0.01
    model = openai(provider)
    keep = Intents.record

    def record(self, ended, intents):
        if len(provider.received) > 20:
            raise RequestError("the cache of calls cannot be used: the disk is full")
        return keep(self, ended, intents)

    monkeypatch.setattr(Intents, "record", record)
    with pytest.raises(RequestError, match="the disk is full"):
        Sent(model, tmp_path, questions(model, 1000), at_once=4)
    assert len(provider.received) < 25


def test_two_models_never_share_an_answer(provider, tmp_path):
    first, second = openai(provider), anthropic(provider)
    assert not set(questions(first, mode="generate")) & set(questions(second, mode="generate"))
    hotter = openai(provider, "timeout=1,temperature=1")
    assert not set(questions(first)) & set(questions(hotter))
    elsewhere = OpenAIModel(find_model("openai/gpt-4.1:timeout=1", "http://localhost:1/v1"))
    assert not set(questions(first)) & set(questions(elsewhere))

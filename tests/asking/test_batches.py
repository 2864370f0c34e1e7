"""Batches: whatever happens between here and the provider, each is paid once, and what can be read is collected.

The real SDKs talk to a local server that speaks the providers' protocols.
"""

import json
import threading
import time
from collections import Counter

import pytest

from llm_icl.asking.batches import Batches, BesideBatches
from llm_icl.asking.budget import Budget
from llm_icl.asking.cache import CallCache
from llm_icl.asking.sending import Sender
from llm_icl.backends.hosted.faults import TransientError
from llm_icl.errors import WorkError
from tests.asking.hosted import QUICK, anthropic, openai, questions

both = pytest.mark.parametrize("make", [openai, anthropic])


class Start:
    """One start of a run, with its own process's view of the cache."""

    def __init__(self, model, folder, budget=None, account="run"):
        self.model, self.cache = model, CallCache(folder / "calls.sqlite")
        self.budget = budget or Budget(None, None, *self.cache.spent(account))
        self.sender = Sender(model, self.cache, account, self.budget, patience=QUICK)
        self.batches = Batches(self.sender, self.cache, account, self.budget)

    def send(self, asked, channel=None):
        try:
            return list((channel or self.batches).send(asked, lambda done, what: None).values())
        finally:
            self.end()

    def end(self):
        self.sender.close()
        self.cache.close()


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr("llm_icl.asking.batches._FIRST_LOOK", 0.01)
    monkeypatch.setattr("llm_icl.backends.hosted.anthropic._BETWEEN_LOOKS", 0.01)


def spent(folder, account="run"):
    return CallCache(folder / "calls.sqlite").spent(account)


@both
def test_a_batch_whose_answer_was_lost_is_found_before_another_is_submitted(provider, tmp_path, make):
    provider.unheard = 1
    replies = Start(make(provider), tmp_path).send(questions(make(provider), 30))
    assert all(not reply.status for reply in replies)
    assert len(provider.batches) == 1
    assert spent(tmp_path)[1] == 30


@both
def test_a_run_that_died_between_the_submission_and_its_answer_finds_the_batch(provider, tmp_path, make, monkeypatch):
    asked = questions(make(provider), 30)
    first = Start(make(provider), tmp_path)
    submit = type(first.model).submit

    async def dies(self, bodies, mark):
        await submit(self, bodies, mark)
        raise KeyboardInterrupt

    monkeypatch.setattr(type(first.model), "submit", dies)
    with pytest.raises(KeyboardInterrupt):
        first.send(asked)
    monkeypatch.setattr(type(first.model), "submit", submit)
    assert spent(tmp_path)[1] == 30  # counted before anything else is known
    replies = Start(make(provider), tmp_path).send(asked)
    assert all(not reply.status for reply in replies)
    assert len(provider.batches) == 1
    assert spent(tmp_path)[1] == 30


@both
def test_a_batch_that_never_arrived_is_submitted_once_and_costs_nothing_before(provider, tmp_path, make, monkeypatch):
    asked = questions(make(provider), 8)
    first = Start(make(provider), tmp_path)

    async def dies(self, bodies, mark):
        raise KeyboardInterrupt

    submit = type(first.model).submit
    monkeypatch.setattr(type(first.model), "submit", dies)
    with pytest.raises(KeyboardInterrupt):
        first.send(asked)
    monkeypatch.setattr(type(first.model), "submit", submit)
    # Another folder's batch of the same size, with other questions.
    Start(make(provider), tmp_path / "other").send(dict(list(questions(make(provider), 16).items())[8:]))
    start = Start(make(provider), tmp_path, Budget(None, 8, *spent(tmp_path)))
    assert all(not reply.status for reply in start.send(asked))
    assert len(provider.batches) == 2
    assert spent(tmp_path)[1] == 8


def test_where_no_batches_are_listed_it_is_counted_and_said(provider, tmp_path, caplog):
    provider.unheard, provider.lists = 1, False
    asked = questions(openai(provider), 5)
    with pytest.raises(WorkError, match="a batch may have been taken although its answer was lost"):
        Start(openai(provider), tmp_path).send(asked)
    assert len(provider.batches) == 1
    assert all(not reply.status for reply in Start(openai(provider), tmp_path).send(asked))
    assert "5 requests may have been submitted before" in caplog.text
    assert len(provider.batches) == 2
    assert spent(tmp_path)[1] == 10
    assert CallCache(tmp_path / "calls.sqlite").unanswered("run")[1] == 5


DAMAGES = {
    "a cut line": lambda lines: [*lines[:3], lines[3][: len(lines[3]) // 2], *lines[4:]],
    "half": lambda lines: [*lines[: len(lines) // 2]],
    "unknown identifiers": lambda lines: [line.replace('id": "', 'id": "x') for line in lines[:4]] + lines[4:],
    "doubled": lambda lines: [*lines, *lines],
    "doubled, the second with another answer": lambda lines: [*lines, *(line.replace('"1"', '"0"') for line in lines)],
    "no objects": lambda lines: ["[]", "null", '{"custom_id": 5}', '{"custom_id": "a", "response": 3}', *lines[2:]],
    "bytes": lambda lines: ["\udcff\udcfe" + lines[0], *lines[1:]],
    "separators within a line": lambda lines: [line.replace('"model": "', '"model": "\u2028\x85') for line in lines],
    "nothing": lambda lines: [],
    "deep": lambda lines: ["[" * 100_000, *lines[1:]],
}  # fmt: skip


@both
@pytest.mark.parametrize("damage", DAMAGES)
def test_what_can_be_read_of_a_batch_is_collected_and_the_rest_is_asked_again(provider, tmp_path, make, damage):
    asked = questions(make(provider), 12)
    undisturbed = Start(make(provider), tmp_path / "undisturbed").send(asked)
    provider.batches.clear()
    provider.damage = DAMAGES[damage]
    replies = Start(make(provider), tmp_path).send(asked)
    good = sum(not reply.status for reply in replies)
    assert good == {
        "a cut line": 11, "half": 6, "unknown identifiers": 8, "no objects": 10, "bytes": 11, "nothing": 0, "deep": 11,
    }.get(damage, 12)  # fmt: skip
    # The provider has answered all of them: what cannot be read counts.
    assert spent(tmp_path)[1] == 12
    assert CallCache(tmp_path / "calls.sqlite").unanswered("run")[1] == 12 - good
    provider.damage = lambda lines: lines
    missing = {key: q for key, q in asked.items() if key not in CallCache(tmp_path / "calls.sqlite").get(asked)}
    again = Start(make(provider), tmp_path).send(missing)
    assert len(again) == 12 - good
    assert sum(len(batch.requests) for batch in provider.batches.values()) == 12 + 12 - good
    texts = {key: call.reply.text for key, call in CallCache(tmp_path / "calls.sqlite").get(asked).items()}
    assert [texts[key] for key in asked] == [reply.text for reply in undisturbed]


# What a provider's error says, and what becomes of the request.
ERRORS = {
    "This model's maximum context length is 8192 tokens": "too_long",
    "The response was filtered by the content management policy": "refused",
    "Incorrect API key provided": "error",
    "Internal error": "error",
}


def instead(words, make, inside):
    """A line without an answer: its error in the place of the answer, or as providers write it."""

    def change(line):
        entry = json.loads(line)
        error = {"type": "invalid_request_error", "message": words}
        if make is anthropic:
            body = {"type": "error", "error": error}
            entry["result"] = {"type": "succeeded", "message": body} if inside else {"type": "errored", "error": body}
        else:
            entry["response"] |= {"status_code": 200 if inside else 400, "body": {"error": error}}
        return json.dumps(entry)

    return change


@both
@pytest.mark.parametrize("inside", [True, False])
def test_a_batch_in_which_requests_failed_is_collected_and_each_says_why(provider, tmp_path, make, inside):
    """As where they are sent one by one: too long and refused for good, an error can be asked again."""
    changes = [instead(words, make, inside) for words in ERRORS]
    provider.damage = lambda lines: [
        *(f(line) for f, line in zip(changes, lines, strict=False)),
        *lines[len(changes) :],
    ]
    asked = questions(make(provider), 12)
    replies = Start(make(provider), tmp_path).send(asked)
    failed = [reply for reply in replies if reply.status][::-1]  # the provider keeps no order
    assert [reply.status for reply in failed] == list(ERRORS.values())
    for reply, words in zip(failed, ERRORS, strict=True):
        assert words in reply.message
        assert ("returned no reply" in reply.message) == (reply.status == "error")
    assert len(CallCache(tmp_path / "calls.sqlite").get(asked)) == 8
    provider.damage = lambda lines: lines
    missing = {key: q for key, q in asked.items() if key not in CallCache(tmp_path / "calls.sqlite").get(asked)}
    assert all(not reply.status for reply in Start(make(provider), tmp_path).send(missing))


@pytest.mark.parametrize("ends", ["expired", "cancelled", "failed"])
def test_what_a_batch_had_answered_before_it_ended_is_collected(provider, tmp_path, ends):
    provider.ends, provider.lost = ends, 3
    replies = Start(openai(provider), tmp_path).send(questions(openai(provider), 12))
    assert sum(not reply.status for reply in replies) == 8
    assert all("returned no reply" in reply.message for reply in replies if reply.status)
    assert spent(tmp_path)[1] == 8  # what has failed costs nothing


@both
def test_two_runs_pay_for_one_batch(provider, tmp_path, make):
    asked = questions(make(provider), 6)
    first, second = Start(make(provider), tmp_path), Start(make(provider), tmp_path, account="other")
    first.batches.submit(asked)
    assert all(not reply.status for reply in second.send(asked))
    assert all(not reply.status for reply in first.send(asked))
    assert len(provider.batches) == 1
    assert spent(tmp_path)[1] == 6
    assert spent(tmp_path, "other") == (0.0, 0)
    assert second.budget.calls == 0  # it is the first's batch


def test_two_runs_that_submit_at_once_submit_each_request_once(provider, tmp_path):
    asked = questions(openai(provider), 40)

    def work(i):
        Start(openai(provider), tmp_path, account=f"run{i}").send(dict(list(asked.items())[5 * i : 5 * i + 20]))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    submitted = Counter(key for batch in provider.batches.values() for key in batch.requests)
    assert set(submitted.values()) == {1}
    assert len(submitted) == 35


@both
def test_a_batch_beside_a_run_without_one_pays_for_the_rest_only(provider, tmp_path, make):
    """What the other has in flight is not submitted, and what is submitted is not sent by the other."""
    provider.latency, provider.looks = 0.05, 10
    asked = questions(make(provider), 40)
    replies = {}

    def alone():
        start = Start(make(provider), tmp_path, account="alone")
        replies["alone"] = BesideBatches(start.batches, start.sender).send(asked, lambda done, what: None)
        start.end()

    thread = threading.Thread(target=alone)
    thread.start()
    patient = time.monotonic() + 30
    while not provider.prompts() and time.monotonic() < patient:
        time.sleep(0.005)
    second = Start(make(provider), tmp_path, account="batch")
    replies["batch"] = second.batches.send(asked, lambda done, what: None)
    second.end()
    thread.join()
    submitted = sum(len(batch.requests) for batch in provider.batches.values())
    assert 1 <= submitted < 40
    assert submitted + sum(provider.prompts().values()) == 40
    assert {key: reply.text for key, reply in replies["alone"].items()} == {
        key: reply.text for key, reply in replies["batch"].items()
    }  # in whatever order they came
    assert all(not reply.status for reply in replies["alone"].values())
    assert spent(tmp_path, "alone")[1] + spent(tmp_path, "batch")[1] == 40


@both
def test_without_batch_what_is_in_one_is_taken_from_it(provider, tmp_path, make):
    asked = questions(make(provider), 6)
    first = Start(make(provider), tmp_path)
    first.batches.submit(asked)
    first.end()
    provider.looks = 10
    start = Start(make(provider), tmp_path)
    with pytest.raises(WorkError, match=r"6 requests of these are in batch .* add --batch to wait for it"):
        start.send(asked, BesideBatches(start.batches, start.sender))
    provider.looks = 0
    start = Start(make(provider), tmp_path)
    assert all(not reply.status for reply in start.send(asked, BesideBatches(start.batches, start.sender)))
    assert not provider.prompts()
    assert spent(tmp_path)[1] == 6


@both
def test_a_batch_that_the_provider_has_no_longer_does_not_stop_single_requests(provider, tmp_path, make):
    asked = questions(make(provider), 6)
    first = Start(make(provider), tmp_path)
    first.batches.submit(asked)
    first.end()
    provider.gone = True
    start = Start(make(provider), tmp_path)
    with pytest.raises(WorkError, match="re-run without --batch"):
        start.send(asked)
    start = Start(make(provider), tmp_path)
    assert all(not reply.status for reply in start.send(asked, BesideBatches(start.batches, start.sender)))
    assert spent(tmp_path)[1] == 12  # the batch may have been paid


@both
def test_a_web_page_in_place_of_the_results_loses_none_of_them(provider, tmp_path, make):
    pages = [["<html><title>Bad gateway</title></html>"], ['{"error": {"message": "try again later"}}']]
    provider.damage = lambda lines: pages.pop() if pages else lines
    assert all(not reply.status for reply in Start(make(provider), tmp_path).send(questions(make(provider), 6)))
    assert not pages
    assert len(provider.batches) == 1
    assert spent(tmp_path)[1] == 6


@both
def test_results_that_never_come_are_waited_for_until_the_batch_is_given_up(provider, tmp_path, make):
    asked = questions(make(provider), 6)
    provider.damage = lambda lines: ["<html><title>Bad gateway</title></html>"]
    with pytest.raises(WorkError, match=r"Bad gateway.*re-run without --batch"):
        Start(make(provider), tmp_path).send(asked)
    start = Start(make(provider), tmp_path)
    assert all(not reply.status for reply in start.send(asked, BesideBatches(start.batches, start.sender)))
    assert spent(tmp_path)[1] == 12


@both
def test_a_batch_is_not_paid_for_again_while_its_provider_cannot_be_reached(provider, tmp_path, make, monkeypatch):
    asked = questions(make(provider), 6)
    first = Start(make(provider), tmp_path)
    first.batches.submit(asked)
    first.end()
    start = Start(make(provider), tmp_path)

    async def fails(self, batch):
        raise TransientError("HTTP 500: it broke", "server")

    monkeypatch.setattr(type(start.model), "progress", fails)
    with pytest.raises(WorkError, match="HTTP 500"):
        start.send(asked, BesideBatches(start.batches, start.sender))
    assert not provider.prompts()
    assert spent(tmp_path)[1] == 6


def test_a_batch_that_is_refused_costs_nothing(provider, tmp_path, monkeypatch):
    model = openai(provider)

    async def refuses(self, bodies, mark):
        from llm_icl.backends.hosted.faults import RejectedError

        raise RejectedError("error", "HTTP 400: no")

    monkeypatch.setattr(type(model), "submit", refuses)
    start = Start(model, tmp_path)
    with pytest.raises(WorkError, match="HTTP 400: no"):
        start.send(questions(model, 6))
    assert start.budget.calls == 0
    assert spent(tmp_path) == (0.0, 0)

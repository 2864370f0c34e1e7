"""Intents are on disk before requests are sent, and then what became of them: limits hold over any death."""

import json
import os
import resource
import signal
import socket
import socketserver
import sqlite3
import struct
import threading
import time

import pytest
from openai import APIConnectionError

from llm_icl.asking import presence
from llm_icl.asking.budget import Budget
from llm_icl.asking.cache import Call, CallCache
from llm_icl.asking.intents import Ending, Intent, Intents, bury
from llm_icl.asking.sending import Sender
from llm_icl.backends import find_model
from llm_icl.backends.exchange import Reply
from llm_icl.backends.hosted.faults import fault_of
from llm_icl.backends.hosted.openai import OpenAIModel
from llm_icl.errors import RequestError, WorkError
from tests.asking.hosted import QUICK, anthropic, openai, questions
from tests.servers import provider as servers


def cache(folder):
    return CallCache(folder / "calls.sqlite")


def call(key, text="1"):
    return Call(key, {"mode": "top"}, Reply(text=text))


def intended(folder):
    with sqlite3.connect(folder / "calls.sqlite") as database:
        return dict(database.execute("SELECT key, cost FROM intents").fetchall())


def test_what_ends_an_intent_decides_what_it_counts(tmp_path):
    intents = Intents(cache(tmp_path), "run/cell")
    answered, refused, useless, unheard = (Intent(key, 1.0) for key in "abcd")
    assert intents.record([], [answered, refused, useless, unheard]) == {}
    assert cache(tmp_path).spent("run") == (4.0, 4)
    endings = [Ending(answered, 0.25, call("a")), Ending(refused), Ending(useless, 0.5), Ending(unheard, unknown=True)]
    intents.record(endings, [])
    assert cache(tmp_path).spent("run") == (1.75, 3)
    assert cache(tmp_path).unanswered("run") == (1.0, 1)
    assert cache(tmp_path).unanswered("other") == (0.0, 0)
    assert set(cache(tmp_path).get("abcd")) == {"a"}


def test_a_question_is_asked_by_one_process_at_a_time_and_taken_over_from_a_dead_one(tmp_path):
    first, second = (Intents(cache(tmp_path), name) for name in ("first", "second"))
    theirs, ours, free = Intent("k", 1.0), Intent("k", 1.0), Intent("free", 1.0)
    first.record([], [theirs])
    assert second.record([], [ours, free]) == {ours.id: None}
    assert cache(tmp_path).spent("second")[1] == 1
    first.close()  # as if it had died
    assert second.record([], [ours]) == {}
    assert cache(tmp_path).unanswered("first") == (1.0, 1)
    third, again = Intents(cache(tmp_path), "third"), Intent("k", 1.0)
    assert third.record([], [again]) == {again.id: None}
    second.record([Ending(ours, 0.5, call("k"))], [])
    assert third.record([], [again])[again.id].text == "1"


def test_an_asker_lives_as_long_as_its_process(tmp_path):
    path = tmp_path / "calls.sqlite"
    ready, name = os.pipe()
    child = os.fork()
    if not child:
        asker = presence.Presence(path)
        os.write(name, asker.name.encode())
        time.sleep(60)
        os._exit(0)
    asker = os.read(ready, 100).decode()
    assert presence.is_alive(path, asker)
    assert list(presence.names(path)) == [asker]
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert not presence.is_alive(path, asker)
    bury(CallCache(path))
    assert not list(presence.names(path))
    assert not presence.is_alive(path, "")


def test_a_cache_of_an_earlier_version_is_read_and_written(tmp_path):
    with sqlite3.connect(tmp_path / "calls.sqlite") as database:
        database.executescript(
            "CREATE TABLE calls (key TEXT PRIMARY KEY, request TEXT NOT NULL, reply TEXT NOT NULL);"
            "CREATE TABLE spending (account TEXT NOT NULL, key TEXT NOT NULL, cost REAL NOT NULL);"
            "INSERT INTO calls VALUES ('old', '{}', '{\"text\": \"0\"}');"
            "INSERT INTO spending VALUES ('run', 'old', 0.5);"
        )
    Intents(cache(tmp_path), "run").record([], [Intent("new", 1.0)])
    assert cache(tmp_path).get(["old"])["old"].reply.text == "0"
    assert cache(tmp_path).spent("run") == (1.5, 2)


@pytest.mark.parametrize("make", [openai, anthropic])
def test_an_intent_is_on_disk_before_its_request_arrives(provider, tmp_path, make):
    model, seen = make(provider), []
    asked = questions(model, 12)
    by_text = {json.dumps(question.prompt): key for key, question in asked.items()}

    def look(body, before):
        held = intended(tmp_path)
        seen.append(by_text[json.dumps(body["messages"])] in held)
        return ""

    provider.fault = look
    sender = Sender(model, cache(tmp_path), "run", Budget(), patience=QUICK)
    sender.send(asked, lambda done, what: None)
    sender.close()
    assert seen == [True] * 12
    assert not intended(tmp_path)
    assert not list(presence.names(tmp_path / "calls.sqlite"))


def test_a_request_whose_answer_was_lost_counts_and_is_asked_again(provider, tmp_path):
    provider.fault = lambda body, before: "cut" if before == 0 else ""
    model = openai(provider)
    sender = Sender(model, cache(tmp_path), "run", Budget(), patience=QUICK)
    sender.send(questions(model, 6), lambda done, what: None)
    sender.close()
    assert len(provider.received) == cache(tmp_path).spent("run")[1] == 12
    assert cache(tmp_path).unanswered("run")[1] == 6


class Silent(socketserver.ThreadingTCPServer):
    """Takes whole requests, and ends the connection without a word: closed, or reset."""

    def __init__(self, resets):
        self.resets, self.received, self.latency = resets, 0, 0.0
        super().__init__(("127.0.0.1", 0), Silence)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


class Silence(socketserver.StreamRequestHandler):
    def handle(self):
        length = 0
        while (line := self.rfile.readline()) not in (b"\r\n", b""):
            length = int(line.split(b":")[1]) if line.lower().startswith(b"content-length") else length
        if self.rfile.read(length):
            self.server.received += 1
        if self.server.resets:
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.request.close()


@pytest.mark.parametrize("made", [openai, anthropic])
@pytest.mark.parametrize("resets", [False, True])
def test_a_request_that_was_taken_and_not_answered_counts(provider, tmp_path, made, resets):
    """It was sent whole: whoever took it may have it paid."""
    with Silent(resets) as server:
        sender = Sender(made(server), cache(tmp_path), "run", Budget(), at_once=1, patience=QUICK)
        with pytest.raises(WorkError, match="the connection was lost"):
            sender.send(questions(sender.model, 3), lambda done, what: None)
        sender.close()
        server.shutdown()
    assert server.received == cache(tmp_path).spent("run")[1] == cache(tmp_path).unanswered("run")[1] > 0


def test_without_memory_nothing_more_is_sent_and_what_was_in_flight_is_known(provider, tmp_path, monkeypatch):
    model = openai(provider)
    sender = Sender(model, cache(tmp_path), "run", Budget(), at_once=4, patience=QUICK)
    sender.send(questions(model, 6), lambda done, what: None)
    before, usual = len(provider.received), model.ask

    async def without_memory(request):
        await usual(request)
        raise fault_of(connection_lost_to(MemoryError()), "a model", 1.0)

    monkeypatch.setattr(model, "ask", without_memory)
    with pytest.raises(MemoryError):
        sender.send(questions(model, 60), lambda done, what: None)
    sender.close()
    lost = len(provider.received) - before
    assert 1 <= lost <= 4
    assert cache(tmp_path).unanswered("run")[1] == lost


def connection_lost_to(cause):
    """What an SDK makes of whatever ends a request."""
    problem = APIConnectionError(request=None)
    problem.__cause__ = cause
    return problem


def test_two_processes_share_the_work_and_a_dead_one_is_replaced(provider, tmp_path):
    provider.latency = 0.02
    model = openai(provider)
    asked = questions(model, 60)
    (tmp_path / "dead").mkdir()
    dead = Intents(cache(tmp_path), "dead")
    dead.record([], [Intent(key, 0.0) for key in list(asked)[:5]])
    counts, said = {}, []

    def send(name):
        sender = Sender(openai(provider), cache(tmp_path), name, Budget(), at_once=4, patience=QUICK)
        replies = sender.send(asked, lambda done, what: said.append(what))
        counts[name] = len(replies), sender.shared
        sender.close()

    threads = [threading.Thread(target=send, args=(name,)) for name in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    patient = time.monotonic() + 30
    while "in flight of another process" not in (said[-1] if said else "") and time.monotonic() < patient:
        time.sleep(0.05)
    assert "in flight of another process" in said[-1]
    assert len(counts) == 0  # the first five are waited for
    dead.close()
    for thread in threads:
        thread.join()
    assert [*provider.prompts().values()] == [1] * 60
    assert [whole for whole, _ in counts.values()] == [60] * 3
    assert sum(shared for _, shared in counts.values()) == 120
    assert sum(cache(tmp_path).spent(name)[1] for name in counts) == 60
    assert cache(tmp_path).unanswered("dead")[1] == 5


HONEST = {"prompt_tokens": 30, "completion_tokens": 2}
USAGES = [
    ("absent", None), ("null", {"usage": None}), ("empty", {"usage": {}}), ("zero", {"prompt_tokens": 0}),
    ("negative", {"prompt_tokens": -(10**9), "completion_tokens": -5}), ("huge", HONEST | {"prompt_tokens": 10**15}),
    ("huger", HONEST | {"completion_tokens": 10**400}), ("no output", {"prompt_tokens": 30, "completion_tokens": 0}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "usage"), USAGES)
def test_without_tokens_that_can_be_believed_what_was_held_stands(provider, tmp_path, monkeypatch, name, usage):
    usual = servers.answer

    def answer(path, body, fault=""):
        reply = usual(path, body, fault)
        del reply["usage"]
        return reply | ({} if usage is None else usage if "usage" in usage else {"usage": usage})

    monkeypatch.setattr(servers, "answer", answer)
    monkeypatch.setenv("OPENAI_BASE_URL", f"{provider.url}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-another-secret")
    model = OpenAIModel(find_model("gpt-4.1"))
    asked = questions(model, 40)
    held = [model.max_cost(question) for question in asked.values()]
    most = 10.5 * max(held)
    sender = Sender(model, cache(tmp_path), "run", Budget(most), patience=QUICK)
    with pytest.raises(WorkError, match="stopped before the limit"):
        sender.send(asked, lambda done, what: None)
    sender.close()
    cost, calls = cache(tmp_path).spent("run")
    assert calls == len(provider.received) == 10 + (min(held) * 11 <= most)
    assert cost == pytest.approx(sum(held[:calls]), rel=0.02)


def test_a_reply_that_cost_more_than_could_be_is_paid_for_and_more_is_held_for_the_next(
    provider, tmp_path, monkeypatch, caplog
):
    """As from servers that reason beyond the limit that they were given."""
    usual = servers.answer
    counted = HONEST | {"completion_tokens": 5000}
    monkeypatch.setattr(servers, "answer", lambda *given: usual(*given) | {"usage": counted})
    monkeypatch.setenv("OPENAI_BASE_URL", f"{provider.url}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-another-secret")
    model = OpenAIModel(find_model("gpt-4.1"))
    each = model.cost({"input": 30, "output": 5000})
    sender = Sender(model, cache(tmp_path), "run", Budget(3.5 * each), patience=QUICK)
    with pytest.raises(WorkError, match="stopped before the limit"):
        sender.send(questions(model, 40), lambda done, what: None)
    sender.close()
    assert cache(tmp_path).spent("run") == (pytest.approx(3 * each), 3)
    assert len(provider.received) == 3
    assert caplog.text.count("the server counts more tokens than it was sent and allowed (30 read, 5,000 written)") == 1


def under_way(provider, tmp_path):
    """A model and its sender of eight at once, behind the first question, which goes alone."""
    model = openai(provider)
    sender = Sender(model, cache(tmp_path), "run", Budget(), at_once=8, patience=QUICK)
    sender.send(questions(model, 1), lambda done, what: None)
    return model, sender


def test_the_first_signal_waits_for_what_is_in_flight(provider, tmp_path, caplog):
    model, sender = under_way(provider, tmp_path)
    provider.latency = 0.7

    def told_when_eight_are_in_flight():
        while len(provider.received) < 9:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        threading.Thread(target=told_when_eight_are_in_flight, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            sender.send(questions(model, 100), lambda done, what: None)
    finally:
        signal.signal(signal.SIGTERM, before)
    sender.close()
    stored = cache(tmp_path).get(questions(model, 100))
    assert 0 < len(provider.received) == len(stored) <= 24
    assert not intended(tmp_path)
    assert "waiting for 8 requests in flight, at most 20 s; interrupt again to end at once" in caplog.text


def test_the_second_signal_ends_at_once_and_what_was_in_flight_is_known(provider, tmp_path):
    model, sender = under_way(provider, tmp_path)
    provider.latency = 9.0

    def interrupted_twice_when_eight_are_in_flight():
        while len(provider.received) < 9:
            time.sleep(0.01)
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    began = time.monotonic()
    try:
        threading.Thread(target=interrupted_twice_when_eight_are_in_flight, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            sender.send(questions(model, 100), lambda done, what: None)
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - began < 8
    sender.close()
    assert cache(tmp_path).unanswered("run")[1] == 8
    assert len(provider.received) == cache(tmp_path).spent("run")[1] == 9


def test_a_volley_of_signals_is_one(provider, tmp_path):
    """A scheduler tells a job, its steps and their launcher, each of which tells the process."""
    model, sender = under_way(provider, tmp_path)
    provider.latency = 3.0

    def told_by_all_of_them():
        while len(provider.received) < 9:
            time.sleep(0.01)
        for number, then in ((signal.SIGTERM, 0.1), (signal.SIGHUP, 0.3), (signal.SIGTERM, 0.1), (signal.SIGTERM, 0)):
            os.kill(os.getpid(), number)
            time.sleep(then)

    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        threading.Thread(target=told_by_all_of_them, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            sender.send(questions(model, 100), lambda done, what: None)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    sender.close()
    assert len(cache(tmp_path).get(questions(model, 100))) == len(provider.received) == 9
    assert not intended(tmp_path)


def test_near_the_limit_on_the_size_of_files_nothing_is_sent(provider, tmp_path):
    model = openai(provider)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    sender = Sender(model, cache(tmp_path), "run", Budget(), patience=QUICK)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8 * 2**20 + 1, before[1]))
    try:
        with pytest.raises(RequestError, match=r"ulimit -f.* nothing more is sent"):
            sender.send(questions(model, 6), lambda done, what: None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    sender.close()
    assert not provider.received
    assert cache(tmp_path).spent("run") == (0.0, 0)


def test_replies_in_flight_are_stored_when_the_disk_takes_no_further_intent(provider, tmp_path, monkeypatch):
    """The room is given up for them: here the database fails until that is done."""
    from llm_icl.asking.room import Room

    given_up = []
    give_up, keep = Room.give_up, Intents.record
    monkeypatch.setattr(Room, "give_up", lambda self: (given_up.append(1), give_up(self))[1])

    def record(self, ended, intents):
        if len(provider.received) >= 8 and not given_up:
            raise RequestError("the disk is full")
        return keep(self, ended, intents)

    monkeypatch.setattr(Intents, "record", record)
    provider.latency = 0.05
    model = openai(provider)
    sender = Sender(model, cache(tmp_path), "run", Budget(), at_once=8, patience=QUICK)
    with pytest.raises(RequestError, match="the disk is full"):
        sender.send(questions(model, 100), lambda done, what: None)
    sender.close()
    # The first question goes alone, and then eight together.
    assert len(cache(tmp_path).get(questions(model, 100))) == len(provider.received) in (8, 9)
    assert not intended(tmp_path)

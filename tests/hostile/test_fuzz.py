"""3,000 broken inputs from fixed seeds: each is an answer or one clear line, within 10 s and 1 GB."""

import json
import random
import re
import resource
import signal
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from llm_icl.backends import backends, find_model
from llm_icl.backends.exchange import GenerateRequest, Reply, TopRequest
from llm_icl.backends.hosted.faults import HopelessError, RejectedError, TransientError, fault_in
from llm_icl.backends.hosted.reasons import reason_in
from llm_icl.config.options import declared
from llm_icl.errors import RequestError, WorkError
from llm_icl.experiments.kinds import experiments
from llm_icl.prompting import limited
from tests.hostile.making import TEXTS, VALUES, changed, garbled
from tests.inside import run_inside
from tests.servers.shapes import WITH_ANSWER, WITHOUT_ANSWER

ROOT = Path(__file__).parents[2]
# Names of Python's exceptions and of its internals, which tell a user nothing.
NAMES = re.compile(r"\b[A-Z]\w+(Error|Exception|Warning)\b|Traceback|object at 0x|LLM_ICL_TRACEBACK|NoneType|<class ")
SECONDS = 10
MEMORY = 2**30


@contextmanager
def bounded(case):
    """Within the time and the memory of one case."""

    def late(*_):
        raise AssertionError(f"more than {SECONDS} s: {case!r}")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MEMORY, case


def assert_clear(done, case):
    """Results, or one line."""
    assert done.returncode in (0, 1, 2), case
    assert not NAMES.search(done.stderr), (case, done.stderr)
    if done.returncode == 2:
        lines = done.stderr.strip().splitlines()
        assert len(lines) >= 1, case
        assert len(lines[-1]) < 2100, case
        assert lines[-1].startswith("llm-icl: ") or "Usage" in done.stderr, (case, done.stderr)


def said_by(do, *given):
    """What a function refuses with; empty if it does not."""
    try:
        do(*given)
    except (RequestError, TransientError, RejectedError, HopelessError) as problem:
        return str(problem)
    return ""


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setattr(limited, "SECONDS", 1.0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LLM_ICL_TRACEBACK", raising=False)


def test_command_lines(tmp_path):
    rng = random.Random(1)
    small = "eval --model none --task majority --n 2 --points 3 --problems 2 --learner best-constant --dry-run".split()
    known = [
        small, "show problem majority --n 3 --points 4 --problem 0 --seed 0".split(),
        "show prompt basic --task majority --n 3 --position 2".split(), "show task majority".split(),
        "show model gpt-4.1".split(), "show learner bayes".split(), "show dataset sst2".split(), "list tasks".split(),
        "sample --task majority --n 3 --points 4 --problems 2 --to x.jsonl".split(), "report runs".split(),
        "run suite.yaml --dry-run".split(), "serve llama2-70b --port 8000 --dry-run".split(),
    ]  # fmt: skip
    for _ in range(500):
        arguments = list(rng.choice(known))
        for _ in range(rng.randint(1, 2)):
            place = rng.randrange(len(arguments))
            new = rng.choice([*TEXTS, "--n", "--points", "--seed", "--task", "--json", "a\0b", "\ud83d"])
            arguments[place : place + rng.randint(0, 1)] = [new]
        if arguments[:1] == ["eval"] and "--dry-run" not in arguments:
            arguments.append("--dry-run")
        with bounded(arguments):
            assert_clear(run_inside(*arguments, cwd=tmp_path), arguments)


def test_options_of_all_kinds():
    rng = random.Random(2)
    for _ in range(400):
        _, kind = rng.choice(experiments.items())
        options = [one.name for one in declared(kind.options)]
        given = {"task": "majority", "model": "none"} if rng.random() < 0.5 else {}
        given = {key: value for key, value in given.items() if key in options}
        given |= {rng.choice(options): rng.choice(VALUES) for _ in range(rng.randint(1, 3))}
        with bounded(given):
            assert not NAMES.search(said_by(kind.options.of, given)), given


TASKS = sorted((ROOT / "tasks").glob("*.yaml"))


def test_task_cards(tmp_path):
    rng = random.Random(3)
    folder = tmp_path / "tasks"
    folder.mkdir()
    for i in range(400):
        text = rng.choice(TASKS).read_text()
        text = garbled(text, rng) if i % 2 else yaml.safe_dump(changed(yaml.safe_load(text), rng))
        (folder / "mine.yaml").write_text(text, errors="replace")
        with bounded(text):
            done = run_inside(*"show problem mine --n 4 --points 12".split(), cwd=tmp_path)
            assert_clear(done, text)


SETS = sorted((ROOT / "tasks" / "text").glob("*.yaml"))
LONG_TEXTS = [
    "{{ text * 10**10 }}",
    "{{ text|center(10**10) }}",
    "{% for a in text %}{{ text }}{% endfor %}",
    "{{ text.ljust(10**10) }}",
    "{{ '%1000000000s' % text }}",
    "{{ text" + "|replace('a', 'aaaaaaaaaaaaaaaaaaaa')" * 9 + " }}",
    "{{ text ** 9 }}",
    "{{ " + "(" * 3000 + "text" + ")" * 3000 + " }}",
]


def test_cards_of_text_sets(tmp_path):
    rng = random.Random(10)
    folder = tmp_path / "tasks" / "text"
    folder.mkdir(parents=True)
    for i in range(200):
        card = yaml.safe_load(rng.choice(SETS).read_text())
        if i < len(LONG_TEXTS):
            text = yaml.safe_dump(card | {"template": LONG_TEXTS[i]})
        else:
            text = garbled(yaml.safe_dump(card), rng) if i % 2 else yaml.safe_dump(changed(card, rng))
        (folder / "mine.yaml").write_text(text, errors="replace")
        with bounded(text):
            done = run_inside("show", "dataset", "mine", "--tasks-dir", "tasks", cwd=tmp_path)
        assert_clear(done, text)
        assert i >= len(LONG_TEXTS) or done.returncode == 2, text


SUITE = {
    "description": "a small one",
    "matrix": {"model": ["none"], "task": ["majority", "parity"], "n": [2, 3], "seed": [0]},
    "points": 4,
    "problems": 2,
    "positions": "all",
    "learner": ["best-constant"],
    "overrides": [{"when": {"n": 3}, "points": 5}],
}
TRAINING = {
    "kind": "train", "matrix": {"architecture": ["transformer"], "task": ["majority"], "n": [3], "seed": [0]},
    "points": 5, "steps": 2, "layers": 1, "width": 8,
}  # fmt: skip


def test_suites(tmp_path):
    rng = random.Random(4)
    for i in range(250):
        card = rng.choice((SUITE, SUITE, TRAINING))
        text = yaml.safe_dump(changed(card, rng)) if i % 2 else garbled(yaml.safe_dump(card), rng)
        (tmp_path / "mine.yaml").write_text(text, errors="replace")
        with bounded(text):
            assert_clear(run_inside("run", "mine.yaml", "--dry-run", cwd=tmp_path), text)


MODELS = {
    "families": {
        "f": {"backend": "openai", "accepts": ["temperature"], "price": {"input": 1, "output": 2}, "priced": "x"}
    },
    "models": {
        "mine": {"family": "f", "identifier": "m", "context": 100, "effort": "low", "key": "MY_KEY", "reasoning": 10},
        "local": {"backend": "hf", "identifier": "a/b", "chat": True, "memory": 1.5, "weights": {"file": "x"}},
        "other": {
            "backend": "anthropic",
            "identifier": "c",
            "base-url": "http://127.0.0.1:1/v1",
            "thinking": "adaptive",
        },
    },
}


def test_catalogues(tmp_path):
    rng = random.Random(5)
    base = yaml.safe_dump(MODELS).replace("priced: x", "priced: 2026-01-01")
    for i in range(300):
        text = garbled(base, rng) if i % 2 else yaml.safe_dump(changed(yaml.safe_load(base), rng))
        (tmp_path / "models.yaml").write_text(text, errors="replace")
        asked = rng.choice(("list models", "show model mine", "show model local", "show model other:effort=low"))
        with bounded(text):
            assert_clear(run_inside(*asked.split(), cwd=tmp_path), text)


PROMPTS = sorted((ROOT / "prompts").glob("*.jinja"))
BOMBS = [
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}{{ query }}",
    "{{ 'a' * 10**10 }}{{ query }}",
    "{{ 'a'|center(10**10) }}{{ query }}",
    "{{ ([0] * 10**9)|length }}{{ query }}",
    "{{ '%1000000000d' % 1 }}{{ query }}",
    "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}{{ query }}",
    "{{ " + "(" * 5000 + "query" + ")" * 5000 + " }}",
    "{% if n > 2 %}{{ 'a' * 10**10 }}{% endif %}{{ query }}",
    "{{ query.__class__.__mro__ }}",
    "{{ 9**9**9**9**9 }}{{ query }}",
    "---\nanswer: '(1+)+{label}(1+)+x'\n---\n{{ query }}",
    "---\nanswer: '{label}(((a{1,999}){1,999}){1,999})'\n---\n{{ query }}",
]


def test_templates(tmp_path):
    rng = random.Random(6)
    folder = tmp_path / "prompts"
    folder.mkdir()
    for i in range(250):
        text = BOMBS[i] if i < len(BOMBS) else garbled(rng.choice(PROMPTS).read_text(), rng)
        (folder / "mine.jinja").write_text(text, errors="replace")
        with bounded(text):
            done = run_inside(*"show prompt mine --task majority --n 3 --position 2".split(), cwd=tmp_path)
            assert_clear(done, text)


YAML_BOMBS = {
    "aliases": "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 10)}]\n" for i in range(9)
    ),
    "merges": "a: &a {x: 1}\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} {{<<: [{','.join([f'*{chr(97 + i)}'] * 10)}]}}\n" for i in range(9)
    ),
    "an alias of itself": "function-class: &a [*a]\n",
    "a merge of itself": "function-class: &a {<<: *a}\n",
    "brackets": "function-class: " + "[" * 100_000,
    "dashes": "function-class:\n" + "- " * 50_000 + "x",
    "digits": "function-class: " + "9" * 100_000,
    "a large file": "description: " + "x" * 5_000_000,
}  # fmt: skip


@pytest.mark.parametrize("name", YAML_BOMBS)
@pytest.mark.parametrize("place", ["tasks/mine.yaml", "models.yaml", "mine.yaml", "prompts/mine.jinja"])
def test_cards_that_are_larger_than_they_look(tmp_path, name, place):
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    text = YAML_BOMBS[name]
    path.write_text(f"---\n{text}\n---\n{{{{ query }}}}" if place.endswith("jinja") else text)
    command = {
        "tasks/mine.yaml": "show task mine", "models.yaml": "list models", "mine.yaml": "run mine.yaml --dry-run",
        "prompts/mine.jinja": "show prompt mine",
    }[place]  # fmt: skip
    began = time.monotonic()
    with bounded(name):
        done = run_inside(*command.split(), cwd=tmp_path)
    assert_clear(done, name)
    assert done.returncode == 2
    assert time.monotonic() - began < 5


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run, its record, its predictions and exchanges."""
    folder = tmp_path_factory.mktemp("finished")
    command = (
        "eval --model none --task majority --n 2 --points 4 --problems 3 --learner best-constant,averaging --out run"
    )
    assert run_inside(*command.split(), cwd=folder).returncode == 0
    run = folder / "run"
    exchange = {"learner": "averaging", "task": "majority", "n": 2, "seed": 0, "prompt": "basic", "problem": 0,
                "positions": [0], "text": "Input:", "reply": {"text": "1"}}  # fmt: skip
    (run / "exchanges.jsonl").write_text(json.dumps(exchange) + "\n")
    return run


def broken_frame(frame, rng):
    name = rng.choice(frame.columns)
    how = rng.randrange(6)
    if how == 0:
        return frame.drop(name)
    if how == 1:
        return frame.with_columns(pl.lit(None).alias(name))
    if how == 2:
        return frame.with_columns(pl.lit(rng.choice(["x", "", "nan"])).alias(name))
    if how == 3:
        return frame.head(rng.randrange(3))
    if how == 4:
        return frame.with_columns(pl.lit(rng.choice([-1, 2**40, float("nan"), float("inf"), 1e300])).alias(name))
    return frame.sample(len(frame), shuffle=True, seed=rng.randrange(2**30)).with_columns(pl.lit([1]).alias(name))


def test_folders_of_runs(finished, tmp_path):
    rng = random.Random(7)
    record = json.loads((finished / "run.json").read_text())
    frame = pl.read_parquet(finished / "predictions.parquet")
    whole = (finished / "predictions.parquet").read_bytes()
    exchange = json.loads((finished / "exchanges.jsonl").read_text())
    folder = tmp_path / "run"
    folder.mkdir()
    for i in range(200):
        (folder / "run.json").write_text(json.dumps(record))
        (folder / "predictions.parquet").write_bytes(whole)
        (folder / "exchanges.jsonl").write_text(json.dumps(exchange))
        if i % 4 == 0:
            text = json.dumps(changed(record, rng)) if i % 8 else garbled(json.dumps(record), rng)
            (folder / "run.json").write_text(text, errors="replace")
        elif i % 4 == 1:
            broken_frame(frame, rng).write_parquet(folder / "predictions.parquet")
        elif i % 4 == 2:
            data = bytearray(whole)
            for _ in range(3):
                data[rng.randrange(len(data))] = rng.randrange(256)
            (folder / "predictions.parquet").write_bytes(bytes(data[: rng.choice((len(data), len(data) // 2, 0))]))
        else:
            (folder / "exchanges.jsonl").write_text(json.dumps(changed(exchange, rng)), errors="replace")
        with bounded(i):
            assert_clear(run_inside("report", "run", "--json", cwd=tmp_path), i)


REQUESTS = {
    "chat": ("openai/gpt-4.1", TopRequest),
    "completions": ("openai/m:api=completions", TopRequest),
    "responses": ("openai/m:api=responses", GenerateRequest),
    "messages": ("anthropic/claude-sonnet-5-5", GenerateRequest),
}


def test_replies():
    rng = random.Random(8)
    models = {}
    for api, (name, kind) in REQUESTS.items():
        entry = find_model(name)
        prompt = "x" if api == "completions" else [{"role": "user", "content": "x"}]
        models[api] = (backends.get(entry.backend)(entry), kind(prompt=prompt))
    logprobs = {
        "content": [{"token": "1", "logprob": -0.1, "bytes": [49], "top_logprobs": [{"token": "0", "logprob": -2.0}]}]
    }
    for i in range(700):
        api = rng.choice(list(models))
        model, request = models[api]
        answer = rng.choice(list(WITH_ANSWER.values()))[1][api]
        answer = (
            json.loads(answer.removeprefix("\ufeff")) if isinstance(answer, str) else json.loads(json.dumps(answer))
        )
        if api == "chat" and rng.random() < 0.5 and answer.get("choices"):
            answer["choices"][0]["logprobs"] = logprobs
        text = json.dumps(changed(answer, rng))
        text = garbled(text, rng) if i % 3 == 0 else text
        with bounded(text):
            if said := said_by(model.reply, request, text):
                assert not NAMES.search(said) or NAMES.search(text), (text, said)
                assert said.isprintable()
                continue
            reply = model.reply(request, text)
            stored = Reply.read(json.dumps(reply.data()))
            assert stored is not None, text
            assert stored.data().keys() == reply.data().keys()
            assert all(isinstance(count, int) and count >= 0 for count in (reply.usage or {}).values())
            model.cost(reply.usage or {})
            if reply.tops and reply.tops[0]:
                assert all(isinstance(value, float) for value in reply.tops[0].values())
                np.testing.assert_equal(list(stored.tops[0].values()), list(reply.tops[0].values()))


def test_errors_of_servers():
    rng = random.Random(9)
    shapes = [shape for shape in WITHOUT_ANSWER.values() if len(shape.raw().body) < 5000]
    for _ in range(300):
        shape = rng.choice(shapes)
        text = shape.raw().body.decode(errors="replace")
        if isinstance(shape.body, dict | list) and rng.random() < 0.7:
            text = json.dumps(changed(shape.body, rng))
        text = garbled(text, rng) if rng.random() < 0.3 else text
        with bounded(text):
            problem = fault_in(reason_in(text), rng.choice((shape.status, 200, 400, 429, 500)), "m", {})
        assert isinstance(problem, TransientError | RejectedError | HopelessError | WorkError)
        assert str(problem).isprintable()
        assert len(str(problem)) < 500

"""Models whose replies hold nothing that can be used, and labels that they would hardly write, through the command."""

import json
import math
import os

import polars as pl
import pytest

from tests.backends.hosted.making import answering
from tests.inside import run_inside
from tests.reports.reading import table_of
from tests.servers.provider import Provider

TINY = (
    "--task majority --n 3 --points 3 --problems 2 --no-shuffled-labels --learner nearest-neighbour --out run".split()
)


@pytest.fixture
def provider():
    server = Provider()
    yield server
    server.die()


def icl(provider, models, cwd, *more):
    environment = os.environ | {"OPENAI_BASE_URL": f"{provider.url}/v1", "OPENAI_API_KEY": "sk-of-a-test"}
    return run_inside("eval", "--model", models, *TINY, *more, cwd=cwd, env=environment)


def tops(values):
    """The pretended model with other values in its list, where it is asked as gpt-4o."""

    def change(body, usual):
        if body["model"] == "gpt-4o":
            first = usual["choices"][0]["logprobs"]["content"][0]
            first["top_logprobs"] = [{"token": token, "logprob": value} for token, value in values.items()]
        return usual

    return change


def rows(folder, model):
    return pl.read_parquet(folder / "run" / "predictions.parquet").filter(pl.col("learner") == model)


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.3])
def test_a_run_without_a_usable_reply_fails_and_asks_again(provider, tmp_path, monkeypatch, value):
    with monkeypatch.context() as patched:
        answering(patched, tops({"0": value, "1": -1.0}))
        done = icl(provider, "gpt-4o", tmp_path)
        asked = len(provider.received)
        again = icl(provider, "gpt-4o", tmp_path)
    for failed in (done, again):
        assert failed.returncode == 1
        assert "no answer from gpt-4o (error)" in failed.stderr
        assert "log-probabilities" in failed.stderr
    assert len(provider.received) == 2 * asked  # nothing was kept
    assert icl(provider, "gpt-4o", tmp_path).returncode == 0
    assert set(rows(tmp_path, "gpt-4o")["status"]) == {"ok"}


def test_a_model_without_an_answer_does_not_cost_the_others_theirs(provider, tmp_path, monkeypatch):
    answering(monkeypatch, tops({"0": math.nan, "1": -1.0}))
    done = icl(provider, "gpt-4o,gpt-4.1", tmp_path, "--points", "9")  # more than are asked of a server in vain
    assert done.returncode == 1
    assert "no answer from gpt-4o" in done.stderr
    assert "no answer from gpt-4.1" not in done.stderr
    assert set(rows(tmp_path, "gpt-4o")["status"]) == {"error"}
    assert set(rows(tmp_path, "gpt-4.1")["status"]) == {"ok"}
    assert "gpt-4.1" in done.stdout
    in_vain = sum(received.body["model"] == "gpt-4o" for received in provider.received)
    assert 10 <= in_vain < 18
    provider.received.clear()
    monkeypatch.undo()
    assert icl(provider, "gpt-4o,gpt-4.1", tmp_path, "--points", "9").returncode == 0
    assert {received.body["model"] for received in provider.received} == {"gpt-4o"}
    assert set(rows(tmp_path, "gpt-4o")["status"]) == {"ok"}


def test_a_run_whose_prompts_are_all_too_long_has_no_answer(provider, tmp_path):
    provider.fault = lambda body, before: "400 long"
    for _ in range(2):
        done = icl(provider, "gpt-4.1", tmp_path)
        assert done.returncode == 1
        assert "no answer from gpt-4.1 (too_long)" in done.stderr
    assert len(provider.received) <= 6  # that is not asked again


def test_replies_that_are_no_label_are_the_models_answer_and_are_not_asked_again(provider, tmp_path, monkeypatch):
    """They count as wrong, and the card says what they are."""

    def change(body, usual):
        usual["choices"][0]["message"]["content"] = "I cannot say."
        return usual

    answering(monkeypatch, change)
    sent = []
    for _ in range(2):
        done = icl(provider, "gpt-4o", tmp_path, "--mode", "generate")
        sent.append(len(provider.received))
        assert done.returncode == 0, done.stderr
        assert "100.0 % of the questions have no usable answer: unparseable" in " ".join(done.stdout.split())
    assert sent[0] == sent[1] > 0


def test_missing_log_probabilities_are_said_with_their_reason(provider, tmp_path, monkeypatch, caplog):
    def change(body, usual):
        usual["choices"][0]["logprobs"] = None
        return usual

    answering(monkeypatch, change)
    done = icl(provider, "gpt-4.1", tmp_path)
    assert done.returncode == 0, done.stderr
    reason = "the server sent no log-probabilities"
    assert f"no probabilities from gpt-4.1 ({reason})" in caplog.text
    (mode,) = json.loads((tmp_path / "run" / "run.json").read_text())["modes"]
    assert mode["without_probability"] == {reason: 6}
    assert f"6 answers without a probability ({reason})" in (tmp_path / "run" / "report.md").read_text()
    asked = rows(tmp_path, "gpt-4.1")
    assert set(asked["status"]) == {"ok"}
    assert asked["probability"].null_count() == asked["mass"].null_count() == 6


def test_the_labels_mass_is_recorded_and_shown_and_runs_without_it_are_still_reported(provider, tmp_path):
    done = icl(provider, "gpt-4.1", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    asked = rows(tmp_path, "gpt-4.1")
    assert asked["mass"].to_list() == pytest.approx([0.9] * 6)
    assert rows(tmp_path, "nearest-neighbour")["mass"].null_count() == 6
    shown = {row["learner"]: row.get("mass") for row in table_of(done.stdout, "scores")}
    assert shown == {"gpt-4.1": pytest.approx(0.9), "nearest-neighbour": None}
    path = tmp_path / "run" / "predictions.parquet"
    pl.read_parquet(path).drop("mass").write_parquet(path)
    report = run_inside("report", "run", cwd=tmp_path)
    assert report.returncode == 0, report.stderr
    assert "probability on the labels" not in (tmp_path / "run" / "report.md").read_text()


def test_a_model_that_would_write_something_else_has_no_answers(tmp_path):
    """A random model of 317 tokens, whose labels have 1 % at most places or less."""
    from tests.conftest import TinyModels

    TinyModels(tmp_path).gpt2()
    done = run_inside("eval", "--model", "hf/gpt2", *TINY, "--points", "12", cwd=tmp_path)
    asked = rows(tmp_path, "hf/gpt2")
    assert asked["mass"].null_count() == 0
    little = asked["mass"] < 0.01
    assert little.any()
    assert set(asked.filter(little)["status"]) == {"unparseable"}
    assert asked.filter(little)["probability"].null_count() == little.sum()
    assert set(asked.filter(~little)["status"]) <= {"ok"}
    assert done.returncode == 0, done.stderr


def test_a_model_that_computes_no_numbers_fails_and_is_asked_again(tmp_path):
    import torch
    from safetensors.torch import load_file, save_file

    from tests.conftest import TinyModels

    weights = TinyModels(tmp_path).gpt2() / "model.safetensors"
    tensors = load_file(weights)
    save_file(tensors | {"transformer.ln_f.bias": torch.full((32,), math.nan)}, weights, {"format": "pt"})
    for _ in range(2):
        done = run_inside("eval", "--model", "hf/gpt2", *TINY, cwd=tmp_path)
        assert done.returncode != 0
        assert "1 weight is not finite (transformer.ln_f.bias)" in done.stderr
    save_file(tensors, weights, {"format": "pt"})


def test_what_a_model_raises_is_said_in_a_line_and_costs_the_others_nothing(tmp_path, monkeypatch):
    """As where a sequence is longer than tables of which its configuration says nothing."""
    from llm_icl.asking.modes import MODES
    from tests.conftest import TinyModels

    TinyModels(tmp_path).gpt2().rename(tmp_path / "fragile")
    TinyModels(tmp_path).gpt2()
    usual = MODES["curve"].ask

    def ask(model, requests, shared):
        if "fragile" in str(model.identity()):
            raise RuntimeError("The size of tensor a (188) must match\nthe size of tensor b (64)")
        return usual(model, requests, shared)

    monkeypatch.setattr(MODES["curve"], "ask", ask)
    done = run_inside("eval", "--model", "hf/fragile,hf/gpt2", *TINY, cwd=tmp_path)
    assert done.returncode == 1
    said = "hf/fragile: RuntimeError: The size of tensor a (188) must match the size of tensor b (64)"
    assert f" calls failed ({said})" in done.stderr
    assert "an error of the program" not in done.stderr
    assert set(rows(tmp_path, "hf/fragile")["status"]) == {"error"}
    assert set(rows(tmp_path, "hf/gpt2")["status"]) <= {"ok", "unparseable"}
    monkeypatch.undo()
    assert run_inside("eval", "--model", "hf/fragile,hf/gpt2", *TINY, cwd=tmp_path).returncode == 0


def test_an_echo_that_cannot_tell_the_labels_apart_says_so(provider, tmp_path, monkeypatch):
    """One label is listed, and the other may have more."""

    def change(body, usual):
        logprobs = usual["choices"][0]["logprobs"]
        logprobs["top_logprobs"] = [
            top and {" 1": math.log(0.2), " x": math.log(0.3)} for top in logprobs["top_logprobs"]
        ]
        logprobs["token_logprobs"] = [None] * len(logprobs["tokens"])
        return usual

    answering(monkeypatch, change)
    done = icl(provider, "openai/davinci-002:api=completions", tmp_path)
    assert done.returncode == 1
    reason = "error: a label is not among the top tokens and may have too much of the remaining probability"
    assert f"no answer from openai/davinci-002:api=completions ({reason})" in done.stderr


def test_a_learner_without_an_answer_is_last_and_the_others_are_in_order(provider, tmp_path, monkeypatch):
    size = "--task majority --n 3 --points 6 --problems 12 --no-shuffled-labels --out run".split()
    environment = os.environ | {"OPENAI_BASE_URL": f"{provider.url}/v1", "OPENAI_API_KEY": "sk-of-a-test"}
    with monkeypatch.context() as patched:
        answering(patched, tops({"0": math.nan, "1": -1.0}))
        run_inside("eval", "--model", "gpt-4o,gpt-4.1", *size, cwd=tmp_path, env=environment)
    table = table_of(run_inside("report", tmp_path / "run", "--json").stdout, "scores")
    means = [row["average"]["value"] for row in table]
    assert [row["learner"] for row in table][-1] == "gpt-4o"
    assert means[-1] is None
    assert means[:-1] == sorted(means[:-1], reverse=True)
    assert len(set(means[:-1])) > 3

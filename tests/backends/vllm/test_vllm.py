"""Real vLLM on the embedded model's weights: it must say what transformers says of the same prompts.

Run by `make test-vllm`, in an environment of its own.
"""

import json
import os
import subprocess
import sys
import time
import urllib.request

import numpy as np
import polars as pl
import pytest

from llm_icl.asking.budget import Budget
from llm_icl.asking.cache import CallCache
from llm_icl.asking.sending import Sender
from llm_icl.backends import backends, find_model
from llm_icl.config.specs import parse_specs
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.drawing import draw_problems
from tests.asking.ask import ask, ask_remote
from tests.backends.vllm.weights import folder
from tests.conftest import run_cli

pytestmark = pytest.mark.vllm

# Largest difference of a probability between the two engines in float32.
TOLERANCE = 1e-4
SETTINGS = "dtype=float32,eager=true,context=4096"
PORT = 18765
# Labels of several tokens have no curve.
ASKED = [("curve", "basic"), ("curve", "chat-turns"), ("positions", "basic"), ("positions", "chat-turns"),
         ("positions", "basic:labels=banana/cherry")]  # fmt: skip
POINTS = 24


@pytest.fixture(scope="module")
def problems():
    return draw_problems(load_task(parse_specs(["majority"])[0]), 5, POINTS, 2, 0)


@pytest.fixture(scope="module")
def reference():
    return backends.get("hf")(find_model(f"hf/{folder()}"))


@pytest.fixture(scope="module")
def engine():
    model = backends.get("vllm").load(find_model(f"vllm/{folder()}:{SETTINGS}"), folder())
    yield model
    model.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server that is started as an evaluation starts it."""
    logs = tmp_path_factory.mktemp("logs")
    model = backends.get("vllm").load(find_model(f"vllm/{folder()}:{SETTINGS},server=true,port={PORT}"), logs)
    assert (logs / "vllm.log").stat().st_size > 0
    yield model
    model.close()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{PORT}/v1/models")


@pytest.mark.parametrize(("mode", "prompt"), ASKED)
def test_the_engine_gives_the_probabilities_of_transformers(engine, reference, problems, tmp_path, mode, prompt):
    truth = ask(reference, prompt, problems, tmp_path / "truth", "positions").answers.probability
    found = ask(engine, prompt, problems, tmp_path, mode).answers.probability
    assert truth.std() > 0.01
    np.testing.assert_allclose(found, truth, atol=TOLERANCE)
    print(f"engine, {mode}, {prompt}: largest difference {np.abs(found - truth).max():.1e}")


@pytest.mark.parametrize(("mode", "prompt"), ASKED)
def test_the_server_gives_the_probabilities_of_transformers(served, reference, problems, tmp_path, mode, prompt):
    truth = ask(reference, prompt, problems, tmp_path / "truth", "positions").answers.probability
    sender = Sender(served, CallCache(tmp_path / "calls.sqlite"), "run", Budget())
    found = ask_remote(sender, prompt, problems, tmp_path, mode).answers.probability
    sender.close()
    np.testing.assert_allclose(found, truth, atol=TOLERANCE)
    print(f"server, {mode}, {prompt}: largest difference {np.abs(found - truth).max():.1e}")


def test_labels_beyond_the_likeliest_tokens_are_asked_for_alone(engine, reference, problems, tmp_path):
    prompt = "basic:labels=a/Z"  # what no model expects
    before = engine.found()["labels_asked_alone"]
    truth = ask(reference, prompt, problems, tmp_path / "truth", "positions").answers.probability
    found = ask(engine, prompt, problems, tmp_path, "curve").answers.probability
    assert engine.found()["labels_asked_alone"] > before
    np.testing.assert_allclose(found, truth, atol=TOLERANCE)


def test_separate_prompts_use_the_prefix_cache_and_say_so(engine, tmp_path):
    problems = draw_problems(load_task(parse_specs(["conjunction"])[0]), 10, 30, 1, 7)
    before = engine.found()
    ask(engine, "basic", problems, tmp_path, "positions")
    after = engine.found()
    cached, whole = (after[key] - before[key] for key in ("cached_tokens", "prompt_tokens"))
    print(f"separate prompts: {cached} of {whole} tokens from the cache")
    assert 0.5 < cached / whole < 1


def test_what_is_written_is_what_transformers_writes(engine, reference, problems, tmp_path):
    def texts(model, folder):
        carried = ask(model, "instruction", problems, folder, "generate", [3, 10])
        return [exchange["reply"]["text"] for exchange in carried.exchanges]

    assert texts(engine, tmp_path / "engine") == texts(reference, tmp_path / "reference")


def test_the_best_mode_follows_the_number_of_positions(engine, problems):
    from llm_icl.asking.plan import plan_for
    from llm_icl.prompting import load_prompt

    basic = load_prompt(parse_specs(["basic"])[0])
    assert plan_for(engine, basic, problems, range(POINTS)).mode == "curve"
    few = plan_for(engine, basic, problems, [5, 20])
    assert few.mode == "positions"
    assert "separate prompts are faster" in few.reasons[0]


def test_a_model_of_the_catalogue_is_asked_where_it_is_served(tmp_path):
    """The embedded weights under another model's name, as if on a machine with large GPUs."""
    name = "meta-llama/Llama-2-70b-hf"
    command = [
        sys.executable,
        "-m",
        "vllm.entrypoints.openai.api_server",
        "--model",
        str(folder()),
        "--served-model-name",
        name,
    ]
    command += "--host 127.0.0.1 --port 18766 --dtype float32 --enforce-eager --max-model-len 4096".split()
    log = (tmp_path / "server.log").open("wb")
    server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        address = "http://127.0.0.1:18766/v1"
        while True:
            assert server.poll() is None, (tmp_path / "server.log").read_text()[-2000:]
            try:
                urllib.request.urlopen(f"{address}/models")
                break
            except OSError:
                time.sleep(0.5)
        asked = (
            "eval --model llama2-70b --task majority --n 15 --points 10 --problems 2 --learner bayes-labels --out run"
        )
        done = run_cli(*asked.split(), "--base-url", address, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        record = json.loads((tmp_path / "run" / "run.json").read_text())
        assert {mode["mode"] for mode in record["modes"]} == {"positions"}
        assert set(pl.read_parquet(tmp_path / "run" / "predictions.parquet")["status"]) == {"ok"}
        wrong = run_cli(*asked.split(), "--base-url", address, "--model", "llama2-7b", "--out", "other", cwd=tmp_path)
        assert wrong.returncode == 2
        assert f"serves {name}, not meta-llama/Llama-2-7b-hf" in wrong.stderr
    finally:
        os.killpg(server.pid, 15)
        server.wait(60)


def test_a_server_that_runs_is_used_and_left_running(served, tmp_path):
    model = f"vllm/{folder()}:{SETTINGS},server=true,port={PORT}"
    asked = ["eval", "--model", model, *"--task majority --n 5 --points 8 --problems 2 --out run".split()]
    done = run_cli(*asked, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "starting a vLLM server" not in done.stderr
    assert not (tmp_path / "run" / "vllm.log").exists()
    urllib.request.urlopen(f"http://127.0.0.1:{PORT}/v1/models")
    again = run_cli("serve", model, "--port", str(PORT), cwd=tmp_path)
    assert again.returncode == 0
    assert "is already served at" in again.stdout


def test_searched_queries_behind_one_context_share_it_in_the_cache(served, tmp_path):
    model = f"vllm/{folder()}:{SETTINGS},server=true,port={PORT}"
    size = "--task conjunction --n 5 --examples 20 --contexts 10 --queries 8 --candidate nearest-neighbour,bayes-labels"
    done = run_cli("identify", "--model", model, *size.split(), "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    tokens = json.loads((tmp_path / "run" / "run.json").read_text())["tokens"]
    whole = tokens["input"] + tokens["cached"]
    print(f"searched queries: {tokens['cached']} of {whole} tokens from the cache")
    assert 0.5 < tokens["cached"] / whole < 1


def test_a_model_that_vllm_cannot_load_is_one_clear_line(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "config.json").write_text("{}")
    for options in ("eager=true", "server=true,port=18767"):
        done = run_cli(*f"eval --model vllm/{empty}:{options} --task majority --n 3".split(), cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.strip().splitlines()[-1].startswith("llm-icl: ")

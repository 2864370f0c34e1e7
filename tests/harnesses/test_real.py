"""inspect_ai and lm-evaluation-harness, as their users run them, give the answers of `llm-icl eval` to every prompt."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from llm_icl.backends.catalogue import find_model
from llm_icl.backends.embedded import embedded_weights
from llm_icl.runs import RunDirectory
from tests.conftest import run_cli
from tests.servers.provider import Provider

pytestmark = [pytest.mark.harnesses, pytest.mark.embedded]
DRAWN = {"task": "majority", "n": 7, "points": 16, "problems": 4, "positions": "0,3,15"}
OPTIONS = [word for key, value in DRAWN.items() for word in (f"--{key}", str(value))]
ARGUMENTS = [word for key, value in DRAWN.items() for word in ("-T", f"{key}={value}")]
# A completion model's prompt, in place of the chat that inspect_ai would write.
AS_TEXT = "chat_template='{{ messages[-1].metadata.completion }}'"


def ran(folder, program, *words):
    done = subprocess.run(
        [Path(sys.executable).with_name(program), *words],
        cwd=folder, capture_output=True, text=True, check=False, env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["smollm2-135m", "gemma3-270m"])
def test_all_give_the_same_answers_and_stand_in_one_report(tmp_path, name):
    weights = embedded_weights(find_model(name))
    inspect = ("inspect", "eval", "llm_icl/boolean", *ARGUMENTS, "--display", "none")
    ran(tmp_path, *inspect, "--model", f"llm_icl/{name}", "--log-dir", "own")
    local = ("model_path=" + str(weights), "do_sample=false", "dtype=float32", AS_TEXT)
    ran(tmp_path, *inspect, "--model", "hf/local", "--log-dir", "hf", *(w for one in local for w in ("-M", one)))
    ran(tmp_path, "llm-icl", "export-tasks", "tasks", "--to", "lm-eval", *OPTIONS)
    ran(
        tmp_path, "lm_eval", "--tasks", "llm_icl", "--include_path", "tasks", "--model", "hf",
        "--model_args", f"pretrained={weights},dtype=float32", "--device", "cpu",
        "--log_samples", "--output_path", "lm-eval",
    )  # fmt: skip
    logs = [*(tmp_path / "own").glob("*.eval"), *(tmp_path / "hf").glob("*.eval"), tmp_path / "lm-eval"]
    assert len(logs) == 3
    for i, log in enumerate(logs):
        done = run_cli("import", str(log), "--learner", "averaging", "--out", f"run{i}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    given = ("--no-shuffled-labels", "--learner", "averaging", "--out", "direct")
    done = run_cli("eval", "--model", name, *OPTIONS, *given, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    direct, own_model, listed, scored = (answers_of(tmp_path / run) for run in ("direct", "run0", "run1", "run2"))
    for found in (own_model, listed, scored):
        for column in ("problem", "position", "label", "prediction", "status"):
            assert found[column].to_list() == direct[column].to_list()
    for found in (own_model, scored):
        assert found["probability"].to_list() == pytest.approx(direct["probability"].to_list(), abs=1e-5)
    # Where a blank is a token of its own, labels without it are likely tokens too: they add as much as they have.
    added = (listed["mass"] - scored["mass"]).clip(0, 0.01)
    assert ((listed["probability"] - direct["probability"]).abs() < added + 2e-5).all()
    done = run_cli("report", "direct", "run0", "run1", "run2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def answers_of(folder):
    return RunDirectory(folder).predictions().filter(prompt="basic").sort("problem", "position")


def test_a_chat_prompt_is_asked_in_the_models_chat_format(tmp_path):
    chat = ("--display", "none", "-T", "prompt=chat-turns", "--model", "llm_icl/smollm2-135m", "--log-dir", "chat")
    ran(tmp_path, "inspect", "eval", "llm_icl/boolean", *ARGUMENTS, *chat)
    (log,) = (tmp_path / "chat").glob("*.eval")
    done = run_cli("import", str(log), "--learner", "averaging", "--out", "imported", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    given = ("--no-shuffled-labels", "--prompt", "chat-turns", "--learner", "averaging", "--out", "direct")
    done = run_cli("eval", "--model", "smollm2-135m", *OPTIONS, *given, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found, expected = (
        RunDirectory(tmp_path / run).predictions().filter(prompt="chat-turns").sort("problem", "position")
        for run in ("imported", "direct")
    )
    assert found["prediction"].to_list() == expected["prediction"].to_list()
    assert found["probability"].to_list() == pytest.approx(expected["probability"].to_list(), abs=1e-4)


def test_a_server_gives_the_same_answers_through_inspect(tmp_path, monkeypatch):
    provider = Provider()
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    server = ("--model", "openai/gpt-4.1", "--model-base-url", provider.url + "/v1", "--log-dir", "served")
    ran(tmp_path, "inspect", "eval", "llm_icl/boolean", *ARGUMENTS, "--display", "none", *server)
    (log,) = (tmp_path / "served").glob("*.eval")
    done = run_cli("import", str(log), "--learner", "averaging", "--out", "imported", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    given = ("--no-shuffled-labels", "--learner", "averaging", "--out", "direct", "--base-url", provider.url + "/v1")
    done = run_cli("eval", "--model", "openai/gpt-4.1", *OPTIONS, *given, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found, expected = answers_of(tmp_path / "imported"), answers_of(tmp_path / "direct")
    assert set(found["status"]) == {"ok"}
    assert found["prediction"].to_list() == expected["prediction"].to_list()
    assert found["probability"].to_list() == pytest.approx(expected["probability"].to_list(), abs=1e-6)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-T", "task=majorty"), "did you mean 'majority'"),
        (("-T", "task=majority,parity"), "-T task takes one task"),
        (("--model", "llm_icl/smollm2"), "did you mean"),
        (("--model", "llm_icl/openai/gpt-4o"), "does not run in this process"),
    ],
)
def test_a_wrong_request_says_what_is_wrong(tmp_path, words, said):
    model = () if "--model" in words else ("--model", "mockllm/model")
    command = [Path(sys.executable).with_name("inspect"), "eval", "llm_icl/boolean", "--display", "plain"]
    done = subprocess.run([*command, *words, *model], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert said in " ".join((done.stdout + done.stderr).split())

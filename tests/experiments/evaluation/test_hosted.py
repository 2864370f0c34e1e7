"""Hosted models through the command line: runs that are killed, batches, keys, suites, against a local server."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time

import polars as pl
import pytest

from tests.conftest import TinyModels, run_cli
from tests.inside import run_inside
from tests.reports.reading import table_of
from tests.servers.provider import Provider, Raw, prompt_of

KEY = "sk-a-secret-that-nobody-may-see-1234567890"
SMALL = "--task majority --n 3 --points 8 --problems 5 --no-shuffled-labels --learner nearest-neighbour".split()


@pytest.fixture
def provider():
    server = Provider()
    yield server
    server.die()


def environment(provider):
    return os.environ | {
        "OPENAI_BASE_URL": f"{provider.url}/v1", "OPENAI_API_KEY": KEY,
        "ANTHROPIC_BASE_URL": provider.url, "ANTHROPIC_API_KEY": KEY,
    }  # fmt: skip


def cli(provider, *arguments, cwd):
    return run_inside(*arguments, cwd=cwd, env=environment(provider))


def start(provider, *arguments, cwd):
    command = [sys.executable, "-c", "from llm_icl.cli.main import main; main()", *arguments]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, cwd=cwd, env=environment(provider), **quiet)


def predictions(folder):
    return pl.read_parquet(folder / "predictions.parquet")


def record(folder):
    return json.loads((folder / "run.json").read_text())


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_run_killed_again_and_again_asks_nothing_twice_that_was_on_disk(provider, tmp_path):
    import sqlite3

    command = (
        "eval --model gpt-4.1 --task majority --n 8 --points 25 --problems 20 --no-shuffled-labels "
        "--learner nearest-neighbour --concurrency 4 --out run"
    ).split()
    provider.latency = 0.03
    (tmp_path / "undisturbed").mkdir()
    assert cli(provider, *command, cwd=tmp_path / "undisturbed").returncode == 0
    expected = predictions(tmp_path / "undisturbed" / "run")
    sent = len(provider.received)
    assert sent >= 490  # 500 positions, few of which have the same prompt

    folder = tmp_path / "killed"
    folder.mkdir()
    moments = random.Random(0)
    committed = set()
    again = 0
    for _ in range(8):
        provider.received.clear()
        process = start(provider, *command, cwd=folder)
        goal = moments.randrange(1, 20)
        wait_for(lambda process=process, goal=goal: len(provider.received) >= goal or process.poll() is not None)
        time.sleep(moments.random() * 0.1)
        process.send_signal(signal.SIGKILL)
        process.wait()
        time.sleep(0.1)  # what is in flight arrives
        again += sum(1 for prompt in provider.prompts() if prompt in committed)
        database = sqlite3.connect(folder / "calls.sqlite")
        rows = database.execute("SELECT request FROM calls").fetchall()
        database.close()
        committed = {"\n".join(message["content"] for message in json.loads(row)["prompt"]) for (row,) in rows}
    assert again == 0
    assert 20 < len(committed) < sent
    provider.received.clear()
    assert cli(provider, *command, cwd=folder).returncode == 0
    assert not [prompt for prompt in provider.prompts() if prompt in committed]
    assert predictions(folder / "run").equals(expected)
    assert set(predictions(folder / "run")["status"]) == {"ok"}


@pytest.mark.parametrize("model", ["gpt-4.1", "gpt-6-astra", "claude-sonnet-5.5"])
def test_a_batch_is_paid_once_though_the_run_was_killed_while_it_waited(provider, tmp_path, model):
    provider.looks = 10**9
    command = ["eval", "--model", model, *SMALL, "--batch", "--out", "run"]
    process = start(provider, *command, cwd=tmp_path)
    wait_for(lambda: provider.batches and provider.batches[next(iter(provider.batches))].looks)
    process.send_signal(signal.SIGKILL)
    process.wait()
    provider.looks = 0
    done = cli(provider, *command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(provider.batches) == 1
    assert set(predictions(tmp_path / "run").filter(pl.col("learner") == model)["status"]) == {"ok"}
    cost = record(tmp_path / "run")["cost"]
    one_by_one = cli(provider, "eval", "--model", model, *SMALL, "--out", "elsewhere/run", cwd=tmp_path)
    assert one_by_one.returncode == 0
    assert record(tmp_path / "elsewhere" / "run")["cost"] == pytest.approx(2 * cost)
    assert predictions(tmp_path / "elsewhere" / "run").equals(predictions(tmp_path / "run"))


@pytest.mark.parametrize("model", ["gpt-4.1", "claude-sonnet-5.5"])
def test_what_a_batch_failed_to_answer_is_missing_and_asked_again(provider, tmp_path, model):
    provider.lost = 4
    command = ["eval", "--model", model, *SMALL, "--batch", "--out", "run"]
    done = cli(provider, *command, cwd=tmp_path)
    assert done.returncode == 1
    reason = "HTTP 500" if model == "gpt-4.1" else "expired"
    assert (
        f"calls failed (the provider's batch returned no reply to this request ({reason})): re-running" in done.stderr
    )
    assert "of positions covered" in done.stdout
    missing = predictions(tmp_path / "run").filter(pl.col("status") == "error")
    assert 0 < len(missing) < 20
    provider.lost = 0
    assert cli(provider, *command, cwd=tmp_path).returncode == 0
    first, second = provider.batches.values()
    assert len(second.requests) == len([key for i, key in enumerate(reversed(first.requests)) if i % 4 == 0])
    assert set(second.requests) < set(first.requests)
    assert "error" not in set(predictions(tmp_path / "run")["status"])


def test_prompts_that_are_too_long_are_missing_and_not_asked_again(provider, tmp_path):
    provider.fault = lambda body, before: "400 long" if str(body["messages"]).count("Label:") > 6 else ""
    command = ["eval", "--model", "gpt-4.1", *SMALL, "--out", "run"]
    done = cli(provider, *command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "gpt-4.1: too_long 25.0 % of the answers." in done.stdout
    assert "gpt-4.1: 75.0 % of positions covered" in done.stdout
    missing = predictions(tmp_path / "run").filter(pl.col("status") == "too_long")
    assert set(missing["position"]) == {6, 7}
    assert missing["prediction"].null_count() == len(missing) == 10
    provider.received.clear()
    assert cli(provider, *command, cwd=tmp_path).returncode == 0
    assert not provider.received


@pytest.mark.parametrize("fault", ["", "401", "garbage"])
@pytest.mark.parametrize("model", ["gpt-4.1:timeout=0.2", "claude-sonnet-5.5:timeout=0.2"])
def test_the_key_is_in_no_file_and_no_message(provider, tmp_path, model, fault):
    provider.fault = lambda body, before: fault if before == 0 else ""
    done = cli(provider, "eval", "--model", model, *SMALL, "--out", "outputs/run", cwd=tmp_path)
    assert done.returncode == (1 if fault == "401" else 0)
    assert any(KEY in "".join(received.headers.values()) for received in provider.received)  # it was used
    assert KEY not in done.stdout + done.stderr
    if fault == "401":
        assert "the API key is invalid" in done.stderr
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 3
    for path in files:
        assert KEY.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("url", ["http://user:{key}@localhost:1/v1", "http://localhost:1/v1?key={key}"])
def test_a_base_url_that_carries_a_key_is_refused_without_showing_it(tmp_path, url):
    done = run_cli("eval", "--model", "openai/x", "--base-url", url.format(key=KEY), *SMALL, cwd=tmp_path)
    assert done.returncode == 2
    assert "holds an API key or password: keys belong into environment variables" in done.stderr
    assert KEY not in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_missing_key_is_named_before_anything_is_sent(tmp_path):
    without = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    done = run_cli("eval", "--model", "gpt-4.1", *SMALL, cwd=tmp_path, env=without)
    assert done.returncode == 2
    assert "needs an API key: set the environment variable OPENAI_API_KEY" in done.stderr
    planned = run_cli("eval", "--model", "gpt-4.1,claude-opus-5.5,llama2-70b", *SMALL, "--dry-run", cwd=tmp_path,
                      env=without)  # fmt: skip
    assert planned.returncode == 0, planned.stderr
    assert re.search(r"gpt-4.1, prompt basic: 3\d calls, 0 of them cached", planned.stdout)
    assert "mode top, prices of 2026" in planned.stdout
    assert "nothing was sent" in planned.stdout
    assert not list(tmp_path.iterdir())


def test_a_question_that_is_rejected_in_unknown_words_does_not_stop_a_resumed_run(provider, tmp_path):
    """A server that has answered before does answer: the others are asked again, and found, at each start."""
    refused = Raw(400, json.dumps({"error": {"message": "this one is not to my taste"}}).encode())
    provider.fault = lambda body, before: refused if "Input: 1 1" in prompt_of(body) else ""
    command = ["eval", "--model", "gpt-4.1", *"--task majority --n 2 --points 4 --problems 6".split()]
    command += ["--learner", "best-constant", "--no-shuffled-labels", "--out", "run"]
    rejected = []
    for _ in range(2):
        done = cli(provider, *command, cwd=tmp_path)
        assert done.returncode == 1
        (count,) = re.findall(r"(\d+) calls failed \(.*this one is not to my taste", done.stderr)
        rejected.append(int(count))
        provider.received.clear()
    assert rejected[0] == rejected[1] > 1
    provider.fault = lambda body, before: ""
    assert cli(provider, *command, cwd=tmp_path).returncode == 0


def test_a_dry_run_counts_equal_questions_once_as_the_run_asks_them_once(provider, tmp_path):
    """Those without examples are the same with shuffled labels, and for tasks of the same inputs."""
    command = ["eval", "--model", "gpt-4.1", *"--task majority,conjunction --n 2 --points 3 --problems 9".split()]
    planned = cli(provider, *command, "--dry-run", cwd=tmp_path)
    (whole,) = re.findall(r"^(\d+) calls, 0 of them cached", planned.stdout, re.MULTILINE)
    assert cli(provider, *command, cwd=tmp_path).returncode == 0
    assert len(provider.received) == int(whole) < 2 * 2 * 9 * 3
    again = cli(provider, *command, "--dry-run", cwd=tmp_path)
    assert f"{whole} calls, {whole} of them cached, about 0 tokens" in again.stdout


@pytest.mark.parametrize(
    ("mode", "calls", "how"), [("auto", 8, "; otherwise one a position"), ("positions", 24, "; one call a position")]
)
def test_a_dry_run_of_a_local_model_counts_a_call_for_each_curve_or_each_position(tmp_path, mode, calls, how):
    """Of four problems of three points, with shuffled labels; the same as the run counts."""
    command = ["eval", "--model", f"hf/{TinyModels(tmp_path).gpt2()}", *"--task majority --n 2 --points 3".split()]
    command += ["--problems", "4", "--mode", mode, "--out", "run"]
    planned = run_cli(*command, "--dry-run", cwd=tmp_path)
    assert f": {calls} calls, 0 of them cached" in planned.stdout
    assert how in planned.stdout
    assert run_cli(*command, cwd=tmp_path).returncode == 0
    made = json.loads((tmp_path / "run" / "run.json").read_text())["calls"]
    assert made["new"] + made["cached"] == calls


def test_a_cost_that_is_not_known_is_not_nothing(provider, tmp_path):
    """Of a server without prices, also where the usual provider of the model has some."""
    model = ["--model", "gpt-4.1", "--base-url", f"{provider.url}/v1"]
    done = cli(provider, "eval", *model, *SMALL, "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "cost: unknown, as the price of gpt-4.1" in (tmp_path / "run" / "report.md").read_text()
    assert "0.00" not in cli(provider, "list", "runs", str(tmp_path), cwd=tmp_path).stdout
    limited = cli(provider, "eval", *model, *SMALL, "--max-cost", "1", "--out", "limited", cwd=tmp_path)
    assert limited.returncode == 2
    assert re.search(r"price of 'gpt-4.1' at http://\S+ is unknown; .* beside its base-url", limited.stderr)
    few = cli(provider, "eval", *model, *SMALL, "--seed", "1", "--max-calls", "3", "--out", "few", cwd=tmp_path)
    assert "3 calls cost what is not known" in few.stderr
    cli(provider, "eval", "--model", "gpt-4.1", *SMALL, "--out", "priced", cwd=tmp_path)
    assert re.search(r"cost: 0\.0\d+ USD", (tmp_path / "priced" / "report.md").read_text())


def test_an_empty_address_does_not_ask_the_provider(provider, tmp_path):
    """As of a shell's variable that is not set."""
    for command in ("eval", "identify"):
        done = cli(provider, command, "--model", "gpt-4.1", "--base-url", "", "--task", "majority", cwd=tmp_path)
        assert done.returncode == 2
        assert "--base-url is empty" in done.stderr
    assert not provider.received


def test_a_key_of_a_provider_is_not_sent_to_another_server(provider, tmp_path):
    command = ["eval", "--model", "openai/some-model", "--base-url", f"{provider.url}/v1", *SMALL]
    assert cli(provider, *command, cwd=tmp_path).returncode == 0
    assert provider.received
    assert not any(KEY in "".join(received.headers.values()) for received in provider.received)


def test_a_model_that_does_not_fit_says_what_it_needs_and_what_to_do(tmp_path):
    done = run_cli(*"eval --model llama2-70b --task majority --n 15".split(), cwd=tmp_path)
    assert done.returncode == 2
    for part in (
        "needs about 138 GB",
        "this machine has",
        "--base-url",
        "llm-icl serve llama2-70b",
        "--model smollm2-135m",
    ):
        assert part in done.stderr
    assert not list(tmp_path.iterdir())


def test_two_processes_share_a_cache_and_both_end_well(provider, tmp_path):
    provider.latency = 0.01
    commands = [["eval", "--model", model, *SMALL, "--out", model] for model in ("gpt-4.1", "gpt-4o", "gpt-5.5")]
    processes = [start(provider, *command, cwd=tmp_path) for command in commands]
    assert [process.wait(120) for process in processes] == [0, 0, 0]
    asked = {received.body["model"] for received in provider.received}
    assert asked == {"gpt-4.1", "gpt-4o", "gpt-5.5"}
    models = [record(tmp_path / model)["models"][model]["served"] for model in ("gpt-4.1", "gpt-4o", "gpt-5.5")]
    assert models == [["gpt-4.1-2026-01-01"], ["gpt-4o-2026-01-01"], ["gpt-5.5-2026-01-01"]]


def test_repeated_answers_are_counted_and_their_agreement_is_reported(provider, tmp_path):
    done = cli(provider, "eval", "--model", "claude-sonnet-5.5", *SMALL, "--repeats", "3", "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert set(provider.prompts().values()) == {3}
    asked = predictions(tmp_path / "run").filter(pl.col("learner") == "claude-sonnet-5.5")
    assert set(asked["agreement"]) == {1.0}  # the pretended model always says the same
    assert asked["probability"].null_count() == len(asked)
    assert "with repeats that agree in 100.0 %" in (tmp_path / "run" / "report.md").read_text()


def test_repeats_of_what_is_likeliest_are_refused(tmp_path):
    done = run_cli("eval", *SMALL, "--repeats", "2", cwd=tmp_path)
    assert done.returncode == 2
    assert "repeats would be identical" in done.stderr


SUITE = """
description: Twelve cells
matrix:
  model: [gpt-4.1, claude-sonnet-5.5]
  task: [majority, conjunction]
  n: [3, 4, 5]
points: 6
problems: 4
shuffled-labels: false
learner: [nearest-neighbour, bayes]
overrides:
  - when: {n: 5, model: gpt-4.1}
    problems: 3
"""


def results(done):
    """What a run of a suite found, without the paths and the wording of costs."""
    return table_of(done.stdout, "scores")


def test_a_suite_that_was_interrupted_twice_ends_with_the_same_report(provider, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
        (folder / "mine.yaml").write_text(SUITE)
    undisturbed = cli(provider, "run", "mine.yaml", "--out", "out", "--json", cwd=whole)
    assert undisturbed.returncode == 0, undisturbed.stderr
    sent = len(provider.received)
    provider.received.clear()
    provider.latency = 0.05
    for goal in (30, 130):
        process = start(provider, "run", "mine.yaml", "--out", "out", "--concurrency", "2", cwd=parts)
        wait_for(lambda goal=goal: len(provider.received) >= goal)
        process.send_signal(signal.SIGINT if goal == 30 else signal.SIGKILL)
        process.wait()
    provider.latency = 0
    done = cli(provider, "run", "mine.yaml", "--out", "out", "--json", cwd=parts)
    assert done.returncode == 0, done.stderr
    assert results(done) == results(undisturbed)
    assert len(results(done)) == 6 * 4  # six (task, n), two models and two classical learners
    assert len(provider.received) <= sent + 8  # what was in flight, and what had come in a moment before
    assert text_of(parts / "out" / "report.md") == text_of(whole / "out" / "report.md")
    cells = [path for path in (parts / "out").iterdir() if path.is_dir()]
    assert len(cells) == 12 + 6  # the classical learners have cells of their own
    again = cli(provider, "run", "mine.yaml", "--out", "out", "--json", cwd=parts)
    assert results(again) == results(done)


def text_of(report):
    """What a report says, up to how it was made: times differ."""
    return report.read_text().split("## Provenance")[0]


def test_a_cell_that_fails_does_not_stop_the_others_and_is_tried_again(provider, tmp_path):
    (tmp_path / "mine.yaml").write_text(SUITE)
    provider.fault = lambda body, before: "401" if body["model"].startswith("claude") else ""
    done = cli(provider, "run", "mine.yaml", "--out", "out", cwd=tmp_path)
    assert done.returncode == 1
    assert "6 of 18 cells failed: re-running the command retries them" in done.stderr
    assert done.stderr.count("the API key is invalid") == 6
    assert "gpt-4.1" in done.stdout
    provider.fault = lambda body, before: ""
    assert cli(provider, "run", "mine.yaml", "--out", "out", cwd=tmp_path).returncode == 0


def test_the_limits_of_a_suite_hold_for_all_of_it(provider, tmp_path):
    (tmp_path / "mine.yaml").write_text(SUITE)
    done = cli(provider, "run", "mine.yaml", "--out", "out", "--max-calls", "40", cwd=tmp_path)
    assert done.returncode == 1
    assert "stopped before the limit of 40 calls" in done.stderr
    assert len(provider.received) == 40
    more = cli(provider, "run", "mine.yaml", "--out", "out", "--max-calls", "1000", cwd=tmp_path)
    assert more.returncode == 0, more.stderr
    # What each cell says it cost is what it cost: the pretended provider counts a token for each character.
    for model, price in (("gpt-4.1", (2.0, 0.5, 8.0)), ("claude-sonnet-5.5", (2.0, 0.1, 10.0))):
        told = read = 0.0
        for folder in (tmp_path / "out").glob(f"{model}*"):
            told += record(folder)["cost"]
            tokens = record(folder)["tokens"]
            read += (tokens["input"] * price[0] + tokens["cached"] * price[1] + tokens["output"] * price[2]) / 1e6
            read += tokens.get("write", 0) * 2.5 / 1e6
        assert told <= read * (1 + 1e-9)  # a prompt that two cells share is paid for once
        assert told > 0.9 * read


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("n: [3, 4, 5]", "n: [3, zero]"), "mine.yaml, line 2: the axis 'n': n 'zero' is not a whole number"),
        (("task: [majority", "task: [majorty"), "unknown task 'majorty': did you mean 'majority'"),
        (("gpt-4.1", "gpt-4.2"), "unknown model 'gpt-4.2'"),
        (("points: 6", "point: 6"), "mine.yaml, line 6: unknown field 'point'"),
        (("problems: 3", "problem: 3"), "in an override: unknown setting 'problem'"),
        (("when: {n:", "when: {m:"), "unknown axis 'm' in 'when'"),
        (("points: 6", "points: 0"), "points 0 is out of range: at least 1"),
        (("matrix:", "grid:"), "unknown field 'grid'"),
        (("[nearest-neighbour, bayes]", "[nearest]"), "unknown learner 'nearest'"),
    ],
)
def test_a_wrong_suite_is_one_clear_line_before_anything_starts(provider, tmp_path, change, message):
    assert change[0] in SUITE
    (tmp_path / "mine.yaml").write_text(SUITE.replace(*change).lstrip())
    done = cli(provider, "run", "mine.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not provider.received
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


@pytest.mark.parametrize("suite", ["demo", "llm-direct", "prompt-variants"])
def test_the_shipped_suites_can_be_carried_out(tmp_path, suite):
    done = run_cli("run", suite, "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "nothing was sent" in done.stdout

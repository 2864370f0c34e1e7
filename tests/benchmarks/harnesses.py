"""The same prompts through llm-icl, inspect_ai and lm-evaluation-harness: the time that each takes with the embedded
model, and what each asks again of a server after `kill -9` in the middle. Needs the environment of `make harnesses`.
"""

import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from tests.benchmarks.timing import show

TIMED = {"task": "majority", "n": 7, "points": 21, "problems": 4, "positions": "all"}
ASKED = {"task": "majority", "n": 7, "points": 21, "problems": 25, "positions": ",".join(map(str, range(1, 21)))}
# Requests in flight, and seconds that the server takes for each.
IN_FLIGHT, LATENCY = 8, 0.1
_QUIET: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
_AS_TEXT = "chat_template='{{ messages[-1].metadata.completion }}'"


def run() -> None:
    if not find_spec("inspect_ai") or not find_spec("lm_eval"):
        print("left out: run make harnesses, and .venv-harnesses/bin/python -m tests.benchmarks harnesses")
        return
    show(_timed(), ["with the embedded model", "wall, s", "processor time, s"])
    print()
    columns = ["killed at half", "asked before", "asked after", "asked again"]
    show(_killed(), columns)


def _timed() -> list[list[object]]:
    from llm_icl.backends.catalogue import find_model
    from llm_icl.backends.embedded import embedded_weights

    weights = embedded_weights(find_model("smollm2-135m"))
    ours = [*_ours("eval", TIMED, "--model", "smollm2-135m", "--no-shuffled-labels", "--learner", "averaging")]
    inspect = _inspect(TIMED)
    local = [f"model_path={weights}", "do_sample=false", "dtype=float32", _AS_TEXT]
    harness = ["--model", "hf", "--model_args", f"pretrained={weights},dtype=float32", "--device", "cpu"]
    ways = {
        "llm-icl, whole curves": ours,
        "llm-icl, a prompt at a time": [*ours, "--mode", "positions"],
        "inspect_ai, a model of llm-icl": [*inspect, "--model", "llm_icl/smollm2-135m"],
        "inspect_ai, hf": [*inspect, "--model", "hf/local", *(word for one in local for word in ("-M", one))],
        "lm-evaluation-harness, hf": [*_lm_eval(), *harness],
        "lm-evaluation-harness, hf, batches of 16": [*_lm_eval(), *harness, "--batch_size", "16"],
    }
    rows: list[list[object]] = []
    for name, command in ways.items():
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(_ours("export-tasks", TIMED, "tasks", "--to", "lm-eval"), cwd=folder, check=True, **_QUIET)
            wall, before = time.monotonic(), _children()
            subprocess.run(command, cwd=folder, check=True, env=_environment(), **_QUIET)
            rows.append([name, time.monotonic() - wall, _children() - before])
    return rows


def _killed() -> list[list[object]]:
    rows: list[list[object]] = []
    for name in ("llm-icl", "inspect_ai", "lm-evaluation-harness", "lm-evaluation-harness, --use_cache"):
        with tempfile.TemporaryDirectory() as work:
            rows.append([name, *_killed_once(name, Path(work))])
    return rows


def _killed_once(name: str, folder: Path) -> tuple[int, int, int]:
    """Requests that the server got before a program was killed and after it was started again, and those of the latter
    that it had got before.
    """
    from tests.servers.provider import Provider

    provider = Provider(latency=LATENCY)
    first, again = _hosted(name, folder, provider.url + "/v1")
    prompts = ASKED["problems"] * len(ASKED["positions"].split(","))
    process = subprocess.Popen(first, cwd=folder, env=_environment(), start_new_session=True, **_QUIET)
    while len(provider.received) < prompts / 2:
        assert process.poll() is None, f"{name} ended early"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(1)
    before = provider.prompts()
    subprocess.run(again(), cwd=folder, env=_environment(), check=True, **_QUIET)
    after = provider.prompts() - before
    provider.die()
    assert len(before | after) >= 0.99 * prompts, f"{name} asked {len(before | after)} of {prompts} prompts"
    return before.total(), after.total(), sum(count for prompt, count in after.items() if prompt in before)


def _hosted(name: str, folder: Path, url: str) -> tuple[list[str], Callable[[], list[str]]]:
    """The command that asks the server, and what resumes it."""
    if name == "llm-icl":
        more = ("--model", "openai/gpt-4.1", "--base-url", url, "--concurrency", str(IN_FLIGHT), "--out", "run")
        command = _ours("eval", ASKED, *more, "--no-shuffled-labels", "--learner", "averaging")
        return command, lambda: command
    if name == "inspect_ai":
        model = ["--model", "openai/gpt-4.1", "--model-base-url", url, "--max-connections", str(IN_FLIGHT)]
        retry = [_program("inspect"), "eval-retry", "--display", "none", "--log-dir", "logs"]
        return [*_inspect(ASKED), *model], lambda: [*retry, *map(str, (folder / "logs").glob("*.eval"))]
    subprocess.run(_ours("export-tasks", ASKED, "tasks", "--to", "lm-eval"), cwd=folder, check=True, **_QUIET)
    (settings,) = (folder / "tasks").glob("*.yaml")
    settings.write_text(_as_generation(settings.read_text()))
    arguments = f"model=gpt-4.1,base_url={url}/completions,num_concurrent={IN_FLIGHT},tokenizer_backend=None"
    cached = ["--use_cache", "cache"] if "--use_cache" in name else []
    command = [*_lm_eval(), "--model", "local-completions", "--model_args", arguments, *cached]
    return command, lambda: command


def _as_generation(settings: str) -> str:
    """The same prompts, to be completed: servers of chats give no log-likelihoods of a prompt."""
    first, _, rest = settings.partition("\n")
    changed = yaml.safe_load(rest) | {
        "output_type": "generate_until",
        "generation_kwargs": {"until": ["\n"], "max_gen_toks": 2, "do_sample": False},
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    }
    del changed["doc_to_choice"]
    return f"{first}\n{yaml.safe_dump(changed)}"


def _ours(verb: str, drawn: Mapping[str, Any], *more: str) -> list[str]:
    options = [word for key, value in drawn.items() for word in (f"--{key}", str(value))]
    return [_program("llm-icl"), verb, *options, *more]


def _inspect(drawn: Mapping[str, Any]) -> list[str]:
    arguments = [word for key, value in drawn.items() for word in ("-T", f"{key}={value}")]
    return [_program("inspect"), "eval", "llm_icl/boolean", *arguments, "--display", "none", "--log-dir", "logs"]


def _lm_eval() -> list[str]:
    return [
        _program("lm_eval"), "--tasks", "llm_icl", "--include_path", "tasks", "--log_samples", "--output_path", "logs"
    ]  # fmt: skip


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _environment() -> dict[str, str]:
    return os.environ | {"HF_HUB_OFFLINE": "1", "OPENAI_API_KEY": "none"}


def _children() -> float:
    """Seconds of processor time of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime

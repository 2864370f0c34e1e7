"""Replies of any text: the run is finished, its report written, and its reply read again from the cache."""

import json

import pytest

from tests.inside import run_inside
from tests.servers.provider import Provider, Raw


@pytest.mark.parametrize(
    "text", ["1 \ud83d", "\udc00", "\0", "\x1b[2J1", "\u2028\u2029\x85", "</script><b>", "1" * 10_000]
)
def test_an_odd_reply_costs_no_run(tmp_path, monkeypatch, text):
    monkeypatch.setenv("LLM_ICL_API_KEY", "none")
    answer = {"model": "m", "choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
    provider = Provider(lambda body, before: Raw(200, json.dumps(answer).encode()))
    command = f"eval --model openai/gpt-4.1 --base-url {provider.url}/v1 --task majority --n 3 --points 3 --problems 1"
    asked = []
    try:
        for out in ("outputs/one", "outputs/two"):
            done = run_inside(*command.split(), "--out", out, cwd=tmp_path)
            assert done.returncode == 0, done.stderr
            lines = (tmp_path / out / "exchanges.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
            assert {json.loads(line)["reply"]["text"] for line in lines} == {text}
            assert (tmp_path / out / "report.html").read_text(encoding="utf-8")
            assert run_inside("report", out, "--json", cwd=tmp_path).returncode == 0
            asked.append(len(provider.received))
    finally:
        provider.die()
    assert asked[0] == asked[1] > 0

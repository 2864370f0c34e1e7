"""What is in a user's cache must be found again: the keys and the stored form of calls are what they have always been.

The literals were computed by the version before requests and replies had types.
"""

import hashlib
import json
import sqlite3

import numpy as np
import pytest

from llm_icl.asking.cache import Call, CallCache, call_key
from llm_icl.asking.plan import plan_for
from llm_icl.backends import backends, find_model
from llm_icl.backends.exchange import Reply, request_from
from llm_icl.config.specs import parse_specs
from llm_icl.problems import Problems, Task
from llm_icl.prompting import load_prompt


@pytest.fixture(autouse=True)
def usual_addresses(monkeypatch):
    for name in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def problems_of(points):
    """Two problems of numbers that are counted up, so that nothing depends on how problems are drawn."""
    numbers = np.array([np.arange(first, first + points) for first in (0, 7)])
    xs = (numbers[..., None] >> np.arange(6) & 1).astype(np.uint8)
    ys = (xs.sum(axis=-1) > 3).astype(np.uint8)
    return Problems(Task("mine", "majority"), 6, 0, xs, ys, ys, np.zeros(2, dtype=np.int64), np.arange(2), {})


def planned(model, mode, prompt, points=4, repeats=1):
    plan = plan_for(model, load_prompt(parse_specs([prompt])[0]), problems_of(points), range(points), mode, repeats)
    return [call.request for call in plan.calls]


def keys_and_digest(requests, identity):
    """How many calls, the first key, and a hash over all keys and all requests as they are stored."""
    keys = [call_key(identity, request.data()) for request in requests]
    stored = [json.dumps(request.data()) for request in requests]
    return len(keys), keys[0], hashlib.sha256("\n".join(keys + stored).encode()).hexdigest()


LOCAL = {
    ("curve", "basic"): (
        2,
        "e673e30e27efbcfd68f2434ac9912999e5b22b7f0853ec7693bf80c70c4063a6",
        "48276171508e659ebe9b5d8566a1a282e9f357aaf436e23ced1fa728f8705137",
    ),
    ("positions", "basic"): (
        8,
        "fb6c84a1914f5a3a2be1c4493209f067c6f9d93f7d0bba3ee13ee59862b90443",
        "4dcc58b30bccfbdc3539c67ae7b2847683d729362065092e3930cfa000304543",
    ),
    ("positions", "basic:labels=no/yes"): (
        8,
        "d3a82f30b1cc6ce3510775d9ec2fcb1de7f3f103627f5e7228401bfc383d0f2b",
        "2a5030362e3bb90fa05ff200e7d4fedff72c991664a2dd7ff0a9afed96f8b882",
    ),
    ("generate", "instruction"): (
        8,
        "fb2a924c01704aa7ba8a9551e47a1b527b846339941730c98a511a2e59075c5f",
        "f05d6f231c12f441a2343331b7cf0f0808340a2fbeb8d26b604c7c5f3bbb9e0c",
    ),
    ("generate", "pac-step-by-step"): (
        8,
        "30f6c6330c84d4076403fe062d5bac3d5fb0558083a4f81295ad2e2a0fb06848",
        "3a11ee4c85dac7eb6f223424fa095efa714ddf0ce26188d213d659fb98e958f0",
    ),
}


@pytest.mark.parametrize(("mode", "prompt"), LOCAL)
def test_calls_to_a_model_in_this_process_have_the_keys_that_they_had(tiny_model, mode, prompt):
    model = backends.get("hf")(find_model(f"hf/{tiny_model.sliding()}"))
    assert keys_and_digest(planned(model, mode, prompt), {"model": "tiny"}) == LOCAL[mode, prompt]


def hosted(name):
    entry = find_model(name)
    model = backends.get(entry.backend)(entry)
    if "completions" in name:
        model.modes = ("echo", "top", "generate")  # as if the server had been found to echo
    return model


HOSTED = {
    ("gpt-4.1", "top", "basic", 4, 1): (
        8,
        "4905a2e24294768b053867d4dbcd78bbcedc11bd7decadc389dae1004592e88a",
        "a4c7b79cac4de5763aad1b34bce74af5b82c619c95a7c4d618d6f856b1dba06a",
    ),
    ("gpt-4.1:temperature=0.5", "generate", "chat-turns", 4, 3): (
        24,
        "7a4605565e14642dcb415604c3c00bfb2137ddbac464565b813b28df0ffca231",
        "9b8735e7894dae1c179deba3f91babadd841c0fc3901be0ceb92518409c50394",
    ),
    ("gpt-6-astra", "generate", "basic", 4, 1): (
        8,
        "ab6339ceb0061f6f87270c6b17bf322fe3909943d9419c6e8e76db8a90669d4b",
        "ddcebb2126e6c88b4892f207de6952fa898927545cb834ac6fe3ac178e0eac56",
    ),
    ("claude-opus-5", "generate", "basic", 4, 2): (
        16,
        "315bba78ca5ccf8ee96d67bcda6e7953633289cee13dc1db60cb119e2c2b17b4",
        "624ffc1e86a44c85b853e89ff17810de30617565ae77d438afb9a77d74a1d962",
    ),
    ("claude-opus-5", "generate", "basic", 60, 1): (
        120,
        "2d4291e92813ae485ded73d152b227da22d29b2428aa69cd3a5e1e4d8e7f32df",
        "58eec37c8cedb4f6d9fc07f9c166f3ce3b590506bb46a86ed4f3ee5c88b89e22",
    ),
    ("claude-opus-4.5:constrained=false", "generate", "pac-step-by-step", 4, 1): (
        8,
        "76512c9b5d5b3d4ce1d7688e820fd2c490a7a5940d08a5c226115ab102926815",
        "dbbea8e021b90611b713d7bb2c04c7333ddc07921fa7993dadc0ab30424a4dcc",
    ),
    ("openai/davinci-002:api=completions", "echo", "basic", 4, 1): (
        2,
        "80c75d33ff4ae57caccf4d803081c2c24ec0db630622c93f53e7e94bce1bee5a",
        "4e271949626313ff604d1f5754d8b16b02598f5bbe778461c6a5f523f18dcc80",
    ),
    ("openai/davinci-002:api=completions", "top", "basic:labels=no/yes", 4, 1): (
        8,
        "be86ac42b1a26a7dbbec7e3cb2a1650ac6d86e242034af8f0191250695538b62",
        "93c5a5a999e1f0f3d4f98bef802299dec805aeaddd604a1d794ef1147d599543",
    ),
}


@pytest.mark.parametrize(("name", "mode", "prompt", "points", "repeats"), HOSTED)
def test_calls_to_a_hosted_model_have_the_keys_that_they_had(name, mode, prompt, points, repeats):
    model = hosted(name)
    requests = planned(model, mode, prompt, points, repeats)
    assert keys_and_digest(requests, model.identity()) == HOSTED[name, mode, prompt, points, repeats]


def test_a_long_prompt_is_divided_among_them():
    assert any(request.cuts for request in planned(hosted("claude-opus-5"), "generate", "basic", points=60))


@pytest.mark.parametrize(("name", "mode", "prompt", "points", "repeats"), HOSTED)
def test_a_batch_that_an_earlier_start_has_submitted_is_read_with_the_same_request(name, mode, prompt, points, repeats):
    for request in planned(hosted(name), mode, prompt, points, repeats):
        again = request_from(json.loads(json.dumps(request.data())))
        assert type(again) is type(request)
        assert {**again.data(), "divided": 0} == {**request.data(), "divided": 0}


STORED = [
    '{"scores": [[-0.5, -1.25], [-3.0, -0.1]]}',
    '{"text": " 0", "truncated": true}',
    '{"model": "m", "usage": {"input": 7, "output": 1}, "truncated": false, "text": "1", "tops": [{"1": -0.1}, null]}',
    '{"model": "m", "usage": {"input": 7}, "status": "refused", "text": "No.", "truncated": false}',
    '{"model": "m", "text": "{\\"label\\": \\"1\\"}", "truncated": false, "usage": {"write": 3}, "constrained": true}',
    '{"scores": [[-1.0, -2.0]], "usage": {"input": 9}, "model": "m", "dropped": ["stop", "temperature"]}',
    '{"text": "1", "truncated": false, "what a later version knows": 1}',
]


@pytest.mark.parametrize("stored", STORED)
def test_a_stored_reply_stays_as_it_is_byte_for_byte(tmp_path, stored):
    assert json.dumps(Reply(**json.loads(stored)).data()) == stored
    first, second = (CallCache(tmp_path / name) for name in ("a.sqlite", "b.sqlite"))
    first.put([Call("k", {"mode": "top"}, Reply(**json.loads(stored)))])
    second.put(first.get(["k"]).values())
    with sqlite3.connect(tmp_path / "b.sqlite") as database:
        assert database.execute("SELECT key, request, reply FROM calls").fetchall() == [
            ("k", '{"mode": "top"}', stored)
        ]

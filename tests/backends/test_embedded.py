"""The embedded models themselves: the first use downloads their weights."""

import subprocess
import sys

import numpy as np
import pytest
from scipy.special import expit
from tokenizers import Tokenizer

from llm_icl.backends import backends, find_model
from llm_icl.backends.embedded import embedded_weights
from llm_icl.backends.machine import has_gpu
from llm_icl.config.specs import parse_specs
from llm_icl.prompting import load_prompt, render
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.drawing import draw_problems
from tests.asking.ask import ask
from tests.backends.making import label_log_odds
from tests.conftest import run_cli

pytestmark = pytest.mark.embedded

# Largest difference of a probability between one pass and separate prompts, in float32.
TOLERANCE = 1e-4


@pytest.fixture(scope="module", params=["smollm2-135m", "gemma3-270m"])
def model(request):
    entry = find_model(request.param)
    return backends.get(entry.backend)(entry)


@pytest.mark.parametrize("prompt", ["basic", "basic:inputs=list"])
def test_one_pass_gives_the_probabilities_of_separate_prompts(model, tmp_path, prompt):
    problems = draw_problems(load_task(parse_specs(["majority"])[0]), 5, 24, 2, 0)
    curve, separate = (
        ask(model, prompt, problems, tmp_path, mode).answers.probability for mode in ("curve", "positions")
    )
    assert separate.std() > 0.01
    np.testing.assert_allclose(curve, separate, atol=TOLERANCE)


def test_a_curve_has_the_probabilities_of_the_definition(model, tmp_path):
    """By the libraries alone: the whole text with each label, encoded and read alone."""
    problems, positions = draw_problems(load_task(parse_specs(["majority"])[0]), 5, 12, 1, 0), [0, 4, 11]
    folder, prompt = embedded_weights(model._entry), load_prompt(parse_specs(["basic"])[0])
    made = Tokenizer.from_file(str(folder / "tokenizer.json"))
    texts = [render(prompt, problems, 0, k).completion() for k in positions]
    truth = label_log_odds(folder, texts, (" 0", " 1"), lambda text: made.encode(text).ids)
    curve = ask(model, "basic", problems, tmp_path, "curve").answers.probability
    np.testing.assert_allclose(curve[0, positions], expit(truth), atol=TOLERANCE)


def test_a_sequence_begins_with_one_token_for_its_beginning_where_the_model_has_one(model):
    tokens = model.tokenize(["Input: 0 1\nLabel:"])[0]
    beginning = model._tokenizer.bos_token_id
    assert tokens.count(beginning) == (1 if "gemma" in model._entry.name else 0)


def test_the_tokenizer_is_the_one_that_transformers_finds_by_the_configuration(model):
    from transformers import AutoTokenizer

    found, own = AutoTokenizer.from_pretrained(embedded_weights(model._entry)), model._tokenizer
    texts = ["Input: 0 1\nLabel: 1", " 1\n\n\t Ünïcode ✓ 12345", "<bos><|im_start|>user\n", ""]
    assert type(found) is type(own)
    for special in (True, False):
        assert own(texts, add_special_tokens=special).input_ids == found(texts, add_special_tokens=special).input_ids
    assert own.special_tokens_map == found.special_tokens_map
    assert own.chat_template == found.chat_template


@pytest.mark.skipif(has_gpu(), reason="PyTorch is asked for the GPU")
def test_where_all_replies_are_known_pytorch_is_not_imported(tmp_path):
    options = ["--model", "smollm2-135m", "--task", "majority", "--n", "2", "--points", "6", "--problems", "2"]
    run_cli("eval", *options, "--out", "first", cwd=tmp_path)
    script = (
        "import sys\nfrom llm_icl.cli.main import main\n"
        f"sys.argv = ['llm-icl', 'eval', *{options!r}, '--out', 'again']\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code\n"
        "print([name for name in ('torch', 'scipy.stats') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_chat_turns_are_scored_in_one_pass_too(tmp_path):
    entry = find_model("smollm2-135m")
    problems = draw_problems(load_task(parse_specs(["conjunction"])[0]), 4, 12, 1, 0)
    model = backends.get(entry.backend)(entry)
    curve, separate = (
        ask(model, "chat-turns", problems, tmp_path, mode).answers.probability for mode in ("curve", "positions")
    )
    np.testing.assert_allclose(curve, separate, atol=TOLERANCE)


def test_once_cached_the_model_needs_no_network(tmp_path):
    """Every address but this machine's is out of reach, and the hub is not told to be offline."""
    blocked = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    import os

    done = run_cli(
        *"eval --task majority --n 3 --points 4 --problems 1 --no-shuffled-labels".split(),
        cwd=tmp_path,
        env=os.environ | blocked,
    )
    assert done.returncode == 0, done.stderr
    assert "smollm2-135m" in done.stdout

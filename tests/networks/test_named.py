"""Lists of models on a command line."""

import pytest

from llm_icl.networks.named import split_models


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("smollm2-135m", ["smollm2-135m"]),
        ("smollm2-135m, gemma3-270m", ["smollm2-135m", "gemma3-270m"]),
        ("smollm2-135m:dtype=float32,chat=true,gemma3-270m", ["smollm2-135m:dtype=float32,chat=true", "gemma3-270m"]),
        ("a/lstm+majority+n=3,a/lstm+majority+n=5", ["a/lstm+majority+n=3", "a/lstm+majority+n=5"]),
        ("lstm+majority+n=3,lstm+majority+n=5", ["lstm+majority+n=3", "lstm+majority+n=5"]),
        ("hf/x:dtype=float32,runs/lstm+majority+n=5", ["hf/x:dtype=float32", "runs/lstm+majority+n=5"]),
    ],
)
def test_a_comma_separates_models_and_not_their_options(text, names):
    assert split_models(text) == names

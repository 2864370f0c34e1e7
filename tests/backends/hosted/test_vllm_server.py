"""What a vLLM server replies to a curve, and numbers that are none."""

import math

import pytest

from llm_icl.asking.modes import MODES
from llm_icl.backends import backends, find_model
from llm_icl.backends.exchange import CurveRequest
from llm_icl.prompting.layout import Curve

CURVE = CurveRequest(prompt="", curve=Curve((7, 1, 8, 0, 9), (1, 3, 5), (0, 0, 0), (1, 1, 1)))


def reply(*pairs):
    """The reply to a curve whose labels have these log-probabilities; the last position is the generated token's."""
    inside = [{"0": {"logprob": zero}, "1": {"logprob": one}} for zero, one in pairs[:-1]]
    zero, one = pairs[-1]
    choice = {
        "prompt_logprobs": [None, inside[0], None, inside[1], None],
        "logprobs": {"top_logprobs": [{"token_id:0": zero, "token_id:1": one}]},
    }
    model = backends.get("vllm-server")(find_model("vllm/some/model", "http://localhost:1/v1"))
    return model.read(CURVE, {"model": "some/model", "choices": [choice], "usage": None})


def test_each_position_has_the_log_probabilities_of_both_labels():
    found = reply((-1.0, -0.5), (-0.5, -1.0), (-0.7, -0.8))
    assert found.scores == [[-1.0, -0.5], [-0.5, -1.0], [-0.7, -0.8]]
    assert not MODES["curve"].fault(found)


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
@pytest.mark.parametrize("place", [0, 2])
def test_what_is_no_number_is_not_kept(value, place):
    pairs = [(-1.0, -0.5)] * 3
    pairs[place] = (value, -0.5)
    assert MODES["curve"].fault(reply(*pairs))

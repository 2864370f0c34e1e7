"""Every mixer computes where its input is. The device `meta`, which has shapes and no numbers, stands for a GPU: what
is made elsewhere is an error there too.
"""

import contextlib

import pytest
import torch

from tests.local_models.making import CASES, RECURRENT, made, sequences


@pytest.fixture(autouse=True)
def _no_autocast(monkeypatch):
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())  # there is none on meta


@pytest.mark.parametrize("case", CASES)
def test_mixers_make_nothing_on_another_device(case):
    longest = 50 if case.startswith("hyena") else 150  # 150 tokens are several chunks
    mixer = made(case).to("meta")
    outputs = [mixer(sequences(longest).to("meta"))]
    outputs += [mixer.unroll(sequences(3).to("meta"))] if case in RECURRENT else []
    for output in outputs:
        output.sum().backward()
        assert output.is_meta


def test_a_number_from_another_device_is_an_error_there():
    with pytest.raises(RuntimeError, match="device"):
        torch.ones(3, device="meta") + torch.ones(3)

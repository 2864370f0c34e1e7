"""Every part of `make gpu` at toy size on the CPU: what it compares agrees, and a part that takes too long is ended."""

import importlib

import pytest
import torch

from tests.gpu.__main__ import PARTS, fails, limited, table
from tests.gpu.card import Card, difference

TOY = Card(torch.device("cpu"), toy=True)


@pytest.mark.parametrize("part", PARTS)
def test_every_part_finds_agreement_on_the_cpu(part, monkeypatch, one_thread):
    monkeypatch.setattr(torch, "compile", lambda model: model)  # takes a minute
    rows = list(importlib.import_module(f"tests.gpu.{part}").rows(TOY))
    assert rows
    assert "what" in table(rows)
    for row in rows:
        assert "problem" not in row
        assert row.get("holds", True)
        exact = row.get("form") == "float32"
        for column in ("loss error", "output error", "gradient error", "P against CPU", "P against alone"):
            assert row.get(column, 0) < (1e-5 if exact else 0.05), column


def test_the_parts_and_their_starts_fit_into_eight_minutes():
    assert sum(PARTS.values()) < 8 * 60


def test_a_part_that_takes_too_long_is_ended_and_said():
    (row,) = limited("windows", 0.2)
    assert row["problem"] == "ended after 0.2 s"


def test_a_difference_is_relative_to_what_is_expected():
    expected = [torch.tensor([3.0]), torch.tensor([0.0, 4.0])]
    actual = [torch.tensor([3.0]), torch.tensor([0.5, 4.0])]
    assert difference(actual, expected) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("row", "fails_"),
    [
        ({"form": "float32", "loss error": 1e-6}, False),
        ({"form": "float32", "gradient error": 0.01}, True),
        ({"form": "bfloat16", "output error": 0.01}, False),
        ({"form": "bfloat16", "output error": float("nan")}, True),
        ({"holds": False}, True),
        ({"problem": "ended after 20 s"}, False),
        ({"problem": "CUDA error: an illegal memory access was encountered"}, True),
    ],
)
def test_what_differs_or_breaks_fails_and_what_has_no_time_does_not(row, fails_):
    assert fails(row) is fails_

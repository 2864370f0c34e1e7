"""A labelled text set of a user's own: its card, and its texts, whose first bit is the label."""

import json
from pathlib import Path

import numpy as np

CARD = """
hub: nobody/nothing
training: train
evaluation: test
template: 'Input: {{ text }} Label:'
labels: ['0', '1']
demonstrations: 3
"""


def write_own_texts(folder: Path, training: int, evaluation: int) -> None:
    """Puts own.yaml, and own/ with that many texts in both splits, into the folder."""
    (folder / "own.yaml").write_text(CARD)
    (folder / "own").mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for split, count in (("train", training), ("test", evaluation)):
        bits = rng.integers(0, 2, (count, 4))
        rows = [{"text": " ".join(map(str, row)), "label": int(row[0])} for row in bits]
        (folder / "own" / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

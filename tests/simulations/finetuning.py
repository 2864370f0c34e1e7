"""How often a comparison with finetuning claims a similarity where there is none. The table is in
docs/design/finetuning.md.

    python -m tests.simulations.finetuning [REPETITIONS] [--part 1/2]

A pure null: whatever is to be finetuned gets a random update instead, on these demonstrations, on others, with shuffled
labels, in another order and layer by layer, so that all are exchangeable with each other and with the null. Each
repetition has a tiny model of its own with random weights, texts of its own, and five draws of demonstrations, of which
the first three are judged alone as well. Everything else is what `finetune-vs-icl` does.

Finished repetitions are kept in outputs/finetuning-null.jsonl: what was interrupted is resumed, and parts can run at
the same time. Once all are there, the table is written.
"""

import argparse
import dataclasses
import itertools
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch
from zlib import crc32

import numpy as np
import polars as pl
import torch
from transformers import GPT2Config, LlamaConfig

import llm_icl
from llm_icl.analysis.effects import Effect, shown
from llm_icl.backends.catalogue import find_model
from llm_icl.experiments.finetuning import choosing, comparison
from llm_icl.experiments.finetuning.compared import Compared
from llm_icl.experiments.finetuning.effects import RECOVERY, effects
from llm_icl.experiments.finetuning.measures import CONTROLLED, SIMILARITIES
from llm_icl.experiments.finetuning.methods import CONTROLS, RANDOM
from llm_icl.experiments.finetuning.request import ComparisonRequest
from llm_icl.experiments.finetuning.text_tasks import Example, Splits, TextTask
from llm_icl.experiments.finetuning.updates import random_update
from llm_icl.progress import silent
from tests.experiments.finetuning.conftest import WORDS, make_reader

RESULTS = Path("outputs/finetuning-null.jsonl")
PAGE = Path("docs/design/finetuning.md")
BEGIN, END = "<!-- made by tests/simulations/finetuning.py -->", "<!-- end -->"
# What the numbers depend on.
_FINETUNING = (
    "asked", "comparison", "contrast", "descent", "effects", "layer_causal", "measures", "metrics", "reader",
    "recording", "scores", "study", "updates",
)  # fmt: skip
COMPUTES = [
    Path(__file__),
    *(
        Path(llm_icl.__file__).parent / "analysis" / f"{name}.py"
        for name in ("comparisons", "intervals", "studentised")
    ),
    *(Path(comparison.__file__).parent / f"{name}.py" for name in _FINETUNING),
]

DRAWS = (3, 5)
QUERIES, DEMONSTRATIONS = 24, 10
SIZES = {"vocab_size": len(WORDS), "bos_token_id": 1, "eos_token_id": 0}
CONFIGS = {
    "gpt2": GPT2Config(n_positions=256, n_embd=16, n_layer=2, n_head=4, **SIZES),
    "llama": LlamaConfig(
        max_position_embeddings=256, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, **SIZES,
    ),
}  # fmt: skip
TASK = TextTask("null", "", "", "train", "test", "{{ text }} :", ("bad", "good"), DEMONSTRATIONS)


def simulated(number: int, queries: int = QUERIES) -> Compared:
    """One comparison under the null."""
    rng = np.random.default_rng([number, 0])
    family = list(CONFIGS)[number % len(CONFIGS)]
    length = rng.uniform(0.05, 0.3)  # of the updates, relative to the weights
    updates = itertools.count()

    def load(*_, random=None):
        return make_reader(
            family, config=CONFIGS[family], task=TASK, seed=(0 if random is None else random) + 100 * number
        )

    def update(reader, layers, *_):
        weights = [float((value.detach() * mask).norm()) for layer in layers for value, mask in layer.trained]
        return random_update(layers, [length * weight for weight in weights], (number, 1, next(updates)))

    # Each seed draws its demonstrations and as many others; nothing is chosen on the rest.
    training = _texts(rng, 4 * DEMONSTRATIONS * max(DRAWS))
    request = ComparisonRequest(
        find_model("hf/none"), TASK, Splits(training, _texts(rng, queries)), tuple(range(1, max(DRAWS) + 1)),
        DEMONSTRATIONS, queries, (0.1,), "training", "newline", True,
    )  # fmt: skip
    with (
        TemporaryDirectory() as folder,
        patch.object(comparison, "load_reader", load),
        patch.object(comparison, "finetune", update),
        patch.object(choosing, "finetune", update),
    ):
        return comparison.compare(request, Path(folder), silent, lambda: None)


def _texts(rng, count):
    words = WORDS[5:]  # without special tokens and the colon
    lengths = rng.integers(8, 13, count)
    return [Example(" ".join([*rng.choice(words, length), ":"]), int(rng.integers(2))) for length in lengths]


def first_draws(compared: Compared, count: int) -> Compared:
    """Of the first seeds only."""
    few = pl.col("seed") <= count
    return dataclasses.replace(compared, answers=compared.answers.filter(few), measures=compared.measures.filter(few))


def claims(compared: Compared) -> dict[str, list[bool]]:
    """By comparison: whether finetuning is shown to be more similar, and whether it would be as the only comparison."""
    found = effects(compared)
    told = shown(found)
    return {
        " against ".join(key): [told[key].outcome == "above", _alone(effect)]
        for key, effect in found.items()
    }  # fmt: skip


def _alone(effect: Effect) -> bool:
    return shown({"": effect})[""].outcome == "above"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("repetitions", nargs="?", type=int, default=400)
    parser.add_argument("--part", default="1/1", help="the first of two parts: 1/2")
    arguments = parser.parse_args()
    part, parts = map(int, arguments.part.split("/"))
    torch.set_num_threads(1)
    RESULTS.parent.mkdir(exist_ok=True)
    by = crc32(b"".join(path.read_bytes() for path in COMPUTES))
    done = _results(by)
    for number in range(part - 1, arguments.repetitions, parts):
        if number not in done:
            compared = simulated(number)
            found = {str(count): claims(first_draws(compared, count)) for count in DRAWS}
            with RESULTS.open("a") as file:
                file.write(json.dumps({"number": number, "by": by, "claims": found}) + "\n")
            print(f"{number + 1} of {arguments.repetitions}", flush=True)
    done = _results(by)
    if all(number in done for number in range(arguments.repetitions)):
        _write([done[number] for number in range(arguments.repetitions)])


def _results(by: int) -> dict[int, dict]:
    """The claims of finished repetitions, by this code."""
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    return {found["number"]: found["claims"] for found in map(json.loads, lines) if found["by"] == by}


def _write(found: list[dict]) -> None:
    """The share of reports that claim a similarity: by measure and what it is compared with."""
    header = [f"{count} draws" for count in DRAWS]
    lines = [
        f"Percentage of {len(found):,} reports that claim a similarity (standard error at 5 %: "
        f"{100 * np.sqrt(0.0475 / len(found)):.1f}). In brackets: if this were their only comparison; there 2.5 are to "
        "be expected.",
        "",
        f"| measure | against | {' | '.join(header)} |",
        "| --- | --- |" + " --- |" * len(header),
    ]
    keys = [(RECOVERY, RANDOM), *((measure.name, RANDOM) for measure in SIMILARITIES)]
    keys += [(measure.name, control) for measure in CONTROLLED for control in CONTROLS]
    for measure, against in keys:
        cells = [
            " ".join(
                form.format(100 * np.mean([one[str(count)][f"{measure} against {against}"][place] for one in found]))
                for place, form in enumerate(("{:.1f}", "({:.1f})"))
            )
            for count in DRAWS
        ]
        lines.append(f"| {measure} | {against} | {' | '.join(cells)} |")
    whole = [100 * np.mean([any(claim for claim, _ in one[str(n)].values()) for one in found]) for n in DRAWS]
    lines += [f"| any | any | {' | '.join(f'{share:.1f}' for share in whole)} |", ""]
    before, rest = PAGE.read_text().split(BEGIN)
    PAGE.write_text(before + BEGIN + "\n\n" + "\n".join(lines) + "\n" + END + rest.split(END)[1])


if __name__ == "__main__":
    main()

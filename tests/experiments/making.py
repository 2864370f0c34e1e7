"""A small request of every kind that is made on the spot."""

from llm_icl.experiments.kinds import experiments
from tests.conftest import TinyModels
from tests.experiments.finetuning.own_texts import write_own_texts
from tests.experiments.language_modelling.making import write_texts

KINDS = ("eval", "train", "probe", "train-lm", "finetune-vs-icl")
TRAINING = {"task": "conjunction", "n": 3, "points": 8, "steps": 6, "batch_size": 4, "width": 16, "layers": 1,
            "evaluate_every": 3}  # fmt: skip


def write_places(folder):
    """All that the requests name: a trained network, texts, a model."""
    made("train", folder).run(folder / "network")
    write_texts(folder)
    write_own_texts(folder, training=80, evaluation=10)
    TinyModels(folder).gpt2(context=256)
    return folder


def made(kind, places, **changed):
    """A small request of the kind."""
    options = {
        "eval": {"model": "none", "task": "parity", "n": 3, "points": 6, "problems": 4, "learner": "majority-label"},
        "train": TRAINING,
        "probe": {"model": f"{places / 'network'}", "problems": 4, "points": 8},
        "train-lm": {
            "attention": "softmax", "text": [places / "train.txt"], "held_out": f"{places / 'held.txt'}",
            "vocabulary": 300, "width": 16, "layers": 1, "heads": 2, "context": 32, "steps": 4, "seed": 1,
            "batch_size": 2, "evaluate_every": 2,
        },
        "finetune-vs-icl": {
            "model": f"hf/{places / 'gpt2'}", "dataset": f"{places / 'own.yaml'}", "data_dir": places, "seed": 1,
            "rates": "0.01", "examples": 4, "demonstrations": 2, "controls": False,
        },
    }[kind]  # fmt: skip
    entry = experiments.get(kind)
    return entry.of(entry.options.of({**options, **changed}))

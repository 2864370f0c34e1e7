"""The models: what they begin with, their tokens, and their use in other verbs."""

import dataclasses
import math
import subprocess
import sys

import polars as pl
import pytest
import torch
from transformers import AutoTokenizer

from llm_icl.config.specs import parse_specs
from llm_icl.experiments.language_modelling.request import LanguageRequest, build
from local_models.language_trainer import LanguageSchedule
from tests.experiments.finetuning.own_texts import write_own_texts
from tests.experiments.language_modelling.making import MODELS, TRAIN
from tests.inside import run_inside


def test_models_of_a_seed_begin_with_the_same_weights_as_far_as_they_share_them():
    schedule = LanguageSchedule(10, 2, 32, 1e-3, 1, 0, 5)
    specs = parse_specs(["softmax,momentum:eta=0.3,momentum:eta=0.9,momentum-learned"])
    request = LanguageRequest(tuple(specs), ("",), "", 300, 2, 16, 2, (32,), schedule, (1, 2))
    plain, *others = (build(request, spec, 1, 300, 0).state_dict() for spec in specs)
    for model in others:
        assert all(torch.equal(model[name], value) for name, value in plain.items())
    own = [sorted({name.rsplit(".", 1)[1] for name in set(model) - set(plain)}) for model in others]
    assert own == [[], [], ["delta", "gamma"]]
    coefficients = [build(request, spec, 1, 300, 0).config.eta for spec in specs[1:3]]
    assert coefficients == [0.3, 0.9]
    for spec in specs:
        again, other = (build(request, spec, seed, 300, 0).state_dict() for seed in (1, 2))
        first = build(request, spec, 1, 300, 0).state_dict()
        for name, value in first.items():
            assert torch.equal(again[name], value)
            drawn = name.endswith(("delta", "gamma")) or (name.endswith("weight") and "ln_" not in name)
            assert torch.equal(other[name], value) != drawn, name
    assert dataclasses.replace(request, seeds=(3,)).schedule_of(3).seed == 3


def test_the_tokenizer_has_single_digits_and_gives_every_text_back(made):
    folder, _ = made
    tokenizer = AutoTokenizer.from_pretrained(folder / "run" / "tokenizer")
    assert len(tokenizer) == 300
    vocabulary = tokenizer.get_vocab()
    assert not [token for token in vocabulary if len(token) > 1 and any(c.isdigit() for c in token)]
    assert tokenizer.tokenize("12 345") == ["1", "2", "Ġ", "3", "4", "5"]
    text = (folder / "held.txt").read_text() + "ünd ² ½ <|endoftext|>"
    assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_the_tokenizer_knows_nothing_of_the_held_out_text(made):
    folder, _ = made
    (folder / "loud.txt").write_text(" zyqquux" * 1000)  # more often than any word of the training text
    command = f"{TRAIN} --attention softmax --lengths 32 --steps 1 --seed 1 --out loud".replace("held.txt", "loud.txt")
    done = run_inside(*command.split(), cwd=folder)
    assert done.returncode == 0, done.stderr
    quiet, loud = ((folder / run / "tokenizer" / "tokenizer.json").read_bytes() for run in ("run", "loud"))
    assert loud == quiet


def test_every_folder_is_a_whole_model_that_others_may_read(made):
    folder, _ = made
    for name in MODELS:
        own = folder / "run" / name
        assert {"config.json", "model.safetensors", "tokenizer.json"} <= {file.name for file in own.iterdir()}
        assert not (own / "checkpoint.safetensors").exists()
        modes = {file.name: oct(file.stat().st_mode & 0o777) for file in own.iterdir() if file.is_file()}
        assert modes["model.safetensors"] == modes["config.json"]


@pytest.fixture(scope="module")
def long(made):
    folder, _ = made
    command = f"{TRAIN} --attention momentum:eta=0.9,momentum-learned --steps 2 --batch-size 1 --seed 1 --out long"
    done = run_inside(*command.replace("--context 32", "--context 256 --lengths 256").split(), cwd=folder)
    assert done.returncode == 0, done.stderr
    models = [path.parent.name for path in sorted((folder / "long").glob("*/config.json"))]
    assert len(models) == 2
    return folder, [f"long/{name}" for name in models]


ASKED = "--task conjunction --n 2 --points 3 --problems 4"


def test_their_folders_are_models_for_eval(long):
    folder, models = long
    command = f"eval --model {models[0]} --model {models[1]} {ASKED} --no-shuffled-labels --out asked"
    done = run_inside(*command.split(), cwd=folder)
    assert done.returncode == 0, done.stderr
    frame = pl.read_parquet(folder / "asked" / "predictions.parquet")
    for model in models:
        own = frame.filter(pl.col("learner").str.contains(model.split("/")[1], literal=True))
        assert len(own) == 12
        assert own["prediction"].is_in([0, 1]).all()


def test_a_new_process_knows_their_kind_of_model(long):
    folder, models = long
    script = (
        "import sys; from llm_icl.backends.catalogue import find_model; "
        "from llm_icl.backends.weights import source_of; from transformers import AutoConfig\n"
        "for name in sys.argv[1:]:\n"
        "    source, how = source_of(find_model(name)); found = AutoConfig.from_pretrained(source, **how)\n"
        "    print(found.model_type, found.learned, found.eta)"
    )
    command = [sys.executable, "-c", script, *sorted(models, key=lambda name: "learned" in name)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["momentum-gpt False 0.9", "momentum-gpt True 0.5"]


def test_their_folders_may_be_named_in_a_comma_list(long):
    folder, models = long
    done = run_inside(*f"eval --model {','.join(models)} {ASKED} --dry-run".split(), cwd=folder)
    assert done.returncode == 0, done.stderr
    assert all(model in done.stdout for model in models)


@pytest.mark.parametrize("which", [0, 1])
def test_their_folders_are_models_for_finetune_vs_icl(long, which):
    folder, models = long
    write_own_texts(folder, 60, 6)
    command = f"finetune-vs-icl --model {models[which]} --dataset own.yaml --data-dir . --examples 3 --seed 1"
    done = run_inside(*command.split(), "--rates", "0.01", "--out", f"against-{which}", cwd=folder)
    assert done.returncode == 0, done.stderr
    answers = pl.read_parquet(folder / f"against-{which}" / "answers.parquet")
    assert set(answers["way"]) >= {"gradient descent", "untrained model", "shuffled labels"}
    measures = pl.read_parquet(folder / f"against-{which}" / "measures.parquet")
    assert measures.filter(pl.col("measure") == "dual form, gap")["value"].max() < 1e-9


def test_a_models_card_says_its_perplexity(made):
    folder, _ = made
    losses = pl.read_parquet(folder / "run" / "losses.parquet")
    for name in MODELS:
        card = (folder / "run" / name / "README.md").read_text()
        rows = [line.strip("| ").split(" | ") for line in card.splitlines() if line.startswith("| ")]
        found = {int(length): (int(windows), float(text.split()[0])) for length, windows, text in
                 (row for row in rows if len(row) == 3 and row[0].isdigit())}  # fmt: skip
        attention, _, seed = name.rpartition("-")
        own = losses.filter(seed=int(seed)).filter(pl.col("attention").str.replace_all("[:=]", "-") == attention)
        context = own["length"].max()
        assert set(found) == set(own["length"])
        for length, (windows, perplexity) in found.items():
            loss = own.filter(length=length)["loss"]
            assert windows == len(loss)
            assert perplexity == pytest.approx(math.exp(loss.mean() / context), abs=0.006)

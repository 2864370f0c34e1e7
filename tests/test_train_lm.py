"""Language models through the command line: trained, tried, reported, killed and gone on with, and used as models."""

import dataclasses
import json
import math
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file
from scipy import stats
from transformers import AutoModelForCausalLM, AutoTokenizer

from llm_icl import language_training_run
from llm_icl.language_training import LanguageRequest, build
from llm_icl.naming import parse_specs
from local_models.language_trainer import LanguagePlan
from tests.inside import run_inside

WORDS = "the of river stone walks under bright cold seven lantern and a".split()
SIZES = "--vocabulary 300 --width 16 --layers 1 --heads 2 --context 32"
TRAIN = f"train-lm --text train.txt --held-out held.txt {SIZES}"
COMMAND = f"{TRAIN} --steps 30 --evaluate-every 3 --batch-size 4 --seed 1,2"
ATTENTIONS, SEEDS, LENGTHS = ("softmax", "momentum", "momentum-learned"), (1, 2), (8, 16, 32)
MODELS = [f"{attention}-{seed}" for attention in ATTENTIONS for seed in SEEDS]


def story(lines, seed, ending=""):
    made = random.Random(seed)
    return "".join(
        f"{' '.join(made.choices(WORDS, k=8))} {made.randint(0, 1999)}. Input: 0 1 Label: 1{ending}\n"
        for _ in range(lines)
    )


def write_texts(folder):
    (folder / "train.txt").write_text(story(300, 0))
    (folder / "held.txt").write_text(story(40, 1, " zyqquux"))


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("language")
    write_texts(folder)
    done = run_inside(*COMMAND.split(), "--out", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, done


@pytest.fixture(scope="module")
def losses(made):
    return pl.read_parquet(made[0] / "run" / "losses.parquet")


def per_token(losses, attention, length):
    """The mean loss of a token for each seed."""
    own = losses.filter((pl.col("attention") == attention) & (pl.col("length") == length))
    return own.group_by("seed").agg(pl.col("loss").mean() / 32).sort("seed")["loss"].to_numpy()


def interval(values):
    return stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))


# --- what it finds ---


@pytest.mark.parametrize("name", ["softmax-2", "momentum-1", "momentum-learned-2"])
def test_the_losses_are_those_of_the_saved_models_on_the_held_out_text(made, losses, name):
    folder, _ = made
    model = AutoModelForCausalLM.from_pretrained(folder / "run" / name).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder / "run" / name)
    ids = [*tokenizer((folder / "held.txt").read_text()).input_ids, tokenizer.eos_token_id]
    attention, seed = name.rsplit("-", 1)
    for length in LENGTHS:
        own = losses.filter(
            (pl.col("attention") == attention) & (pl.col("seed") == int(seed)) & (pl.col("length") == length)
        ).sort("window")
        assert own["window"].to_list() == list(range((len(ids) - 1) // 32))
        for window in (0, 7, len(own) - 1):
            loss = 0.0
            for begin in range(32 * window, 32 * window + 32, length):
                piece = torch.tensor([ids[begin : begin + length]])
                with torch.no_grad():
                    log_odds = model(input_ids=piece).logits[0].log_softmax(-1)
                loss -= sum(float(log_odds[i, ids[begin + i + 1]]) for i in range(length))
            assert own["loss"][window] == pytest.approx(loss, rel=1e-5)


def test_the_models_have_learned_something(losses):
    for attention in ATTENTIONS:
        assert (per_token(losses, attention, 32) < math.log(300) - 0.4).all()
    assert len({*losses.filter(pl.col("window") == 0)["loss"]}) == 18  # no two of them are one


def test_the_tables_and_the_verdict_say_what_the_losses_say(made, losses):
    folder, done = made
    report = (folder / "run" / "report.md").read_text()
    for attention in ATTENTIONS:
        for length in LENGTHS:
            means = per_token(losses, attention, length)
            value, low, high = np.exp([means.mean(), *interval(means)])
            cell = f"{value:.2f} [{low:.2f}, {high:.2f}]"
            assert cell in done.stdout
            assert cell in report
    for attention in ATTENTIONS[1:]:
        by = per_token(losses, attention, 32) - per_token(losses, "softmax", 32)
        value, low, high = 100 * np.expm1([by.mean(), *interval(by)])
        sentence = (
            f"At 32 tokens {attention} has a perplexity {abs(value):.2f} % {'lower' if value < 0 else 'higher'} than "
            f"softmax ({value:+.2f} [{low:+.2f}, {high:+.2f}] % over 2 trainings of each): "
            f"{'better' if high < 0 else 'worse' if low > 0 else 'not distinguishable'}."
        )
        assert sentence in done.stdout
        assert sentence in report
        assert sentence in (folder / "run" / "report.html").read_text()
    assert "report: run/report.html" in done.stdout


def test_the_report_tells_the_sizes_of_things(made):
    folder, _ = made
    report = (folder / "run" / "report.md").read_text()
    tokenizer = AutoTokenizer.from_pretrained(folder / "run" / "tokenizer")
    tokens = [len(tokenizer((folder / name).read_text()).input_ids) + 1 for name in ("train.txt", "held.txt")]
    assert f"trained on {tokens[0]:,} tokens (a vocabulary of 300 from the same text)" in report
    assert "30 steps of 4 x 32 tokens, 3,840 in all" in report
    # By hand: 300 + 32 embeddings; 12 w^2 + 13 w for the layer, 2 w for the last norm; 2 x 8 w for the filter.
    plain = (300 + 32) * 16 + 12 * 16**2 + 13 * 16 + 2 * 16
    assert f"{plain:,}" in report
    assert f"{plain + 2 * 8 * 16:,}" in report


def test_the_run_as_json_is_the_tables(made):
    folder, _ = made
    done = run_inside(*COMMAND.split(), "--out", "run", "--json", cwd=folder)
    found = json.loads(done.stdout)
    assert [row["attention"] for row in found["perplexities"]] == list(ATTENTIONS)
    assert [row["attention"] for row in found["changes"]] == list(ATTENTIONS[1:])
    # A column for each length and interval: no two of one name.
    assert all(len(row) == 1 + 2 * len(LENGTHS) for row in found["changes"])


def test_the_report_tells_the_vocabulary_that_was_had_and_not_the_one_that_was_asked_for(made):
    folder, _ = made
    command = f"{TRAIN} --attention softmax --lengths 32 --steps 1 --seed 1 --out words".replace("300", "9000")
    done = run_inside(*command.split(), cwd=folder)
    assert done.returncode == 0, done.stderr
    count = len(AutoTokenizer.from_pretrained(folder / "words" / "tokenizer"))
    assert count < 9000
    assert f"a vocabulary of {count:,} from the same text" in (folder / "words" / "report.md").read_text()


@pytest.fixture(scope="module")
def single(made):
    folder, _ = made
    command = f"{TRAIN} --attention softmax,momentum:eta=0 --lengths 32,16 --steps 5 --seed 1 --out single"
    done = run_inside(*command.split(), cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "single", done


def test_one_training_tells_nothing_of_another(single):
    _, done = single
    assert "At 32 tokens momentum:eta=0 has" in done.stdout
    assert "over one training of each): one training does not tell whether another would say the same" in done.stdout
    assert "not distinguishable" not in done.stdout


def test_the_figures_of_one_training_are_finite(single):
    folder, _ = single
    html = (folder / "report.html").read_text()
    assert '"change":' in html
    assert '"high":Infinity' not in html
    assert '"low":-1.0' not in html  # nor an interval to -100 %


def test_without_a_coefficient_momentum_is_trained_as_softmax_is(single):
    folder, done = single
    by_name = dict(pl.read_parquet(folder / "losses.parquet").group_by("attention").agg(pl.col("loss")).iter_rows())
    assert by_name["momentum:eta=0"] == pytest.approx(by_name["softmax"], rel=1e-6)
    assert "0.00 %" in done.stdout
    assert "nan" not in done.stdout


def test_one_attention_alone_is_not_compared(made):
    folder, _ = made
    command = f"{TRAIN} --attention momentum-learned --steps 2 --seed 1,2 --out alone"
    done = run_inside(*command.split(), cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "momentum-learned" in done.stdout
    assert "Change against" not in (folder / "alone" / "report.md").read_text()


# --- what the models begin with, and their tokens ---


def test_models_of_a_seed_begin_with_the_same_weights_as_far_as_they_share_them():
    plan = LanguagePlan(10, 2, 32, 1e-3, 1, 0, 5)
    specs = parse_specs(["softmax,momentum:eta=0.3,momentum:eta=0.9,momentum-learned"])
    request = LanguageRequest(tuple(specs), ("",), "", 300, 2, 16, 2, (32,), plan, (1, 2))
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
    assert dataclasses.replace(request, seeds=(3,)).plan_of(3).seed == 3


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


# --- the same command again ---


def test_the_same_command_again_trains_nothing_and_prints_the_same(made, monkeypatch):
    folder, done = made
    files = [file for file in (folder / "run").rglob("*") if file.is_file() and file.name != ".lock"]
    files = [file for file in files if not file.name.startswith("report.")]
    before = {file: file.stat().st_mtime_ns for file in files}

    def refuse(*_):
        raise AssertionError("this is trained already")

    monkeypatch.setattr(language_training_run, "train", refuse)
    monkeypatch.setattr(language_training_run, "losses", refuse)
    again = run_inside(*COMMAND.split(), "--out", "run", cwd=folder)
    assert again.returncode == 0, again.stderr
    assert again.stdout == done.stdout
    assert {file: file.stat().st_mtime_ns for file in files} == before


@pytest.mark.parametrize("change", ["--steps 31", "--rate 0.001", "--seed 1,3", "--lengths 32", "--held-out train.txt"])
def test_another_request_does_not_get_the_folder(made, change):
    folder, _ = made
    (folder / "more.txt").write_text("more of it and more " * 10)
    done = run_inside(*COMMAND.split(), "--text", "more.txt", *change.split(), "--out", "run", cwd=folder)
    assert done.returncode == 2
    assert "holds the run of another request" in done.stderr


# Imports once what is slow to import, and then for each moment (a file and its least number of lines) starts the
# command in a process of its own, which it kills as soon as the moment is there.
KILLER = """
import json, os, signal, sys, time
from pathlib import Path
import tensorboardX, transformers
import llm_icl.language_training_run, llm_icl.reports.language, local_models.momentum_gpt
from llm_icl.cli.main import main
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2LMHeadModel, PreTrainedTokenizerFast

moments = json.loads(sys.argv.pop(1))
for path, least in moments:
    child = os.fork()
    if child == 0:
        main()
    while not Path(path).is_file() or len(Path(path).read_bytes().splitlines()) < least:
        if os.waitpid(child, os.WNOHANG)[0]:
            sys.exit(f"it ended before {path} was there")
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""


def test_killed_anywhere_it_ends_with_the_same_models_bit_for_bit(made, losses):
    folder, _ = made
    killed = folder / "killed"
    # In the midst of the first training; as a model is put into its place; in the midst of a later training.
    moments = [
        ("killed/softmax-1/metrics.jsonl", 3),
        ("killed/softmax-2/model.safetensors", 1),
        ("killed/momentum-learned-1/metrics.jsonl", 2),
    ]
    command = [sys.executable, "-c", KILLER, json.dumps(moments), *COMMAND.split(), "--out", "killed"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    killer = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert killer.returncode == 0, killer.stderr
    assert json.loads((killed / "run.json").read_text())["status"] == "running"
    done = run_inside(*COMMAND.split(), "--out", "killed", cwd=folder)
    assert done.returncode == 0, done.stderr
    for name in MODELS:
        truth, found = (load_file(folder / run / name / "model.safetensors") for run in ("run", "killed"))
        assert set(found) == set(truth)
        assert all(torch.equal(found[key], truth[key]) for key in truth), name
        steps = [json.loads(line)["step"] for line in (killed / name / "metrics.jsonl").read_text().splitlines()]
        assert steps == list(range(3, 31, 3))
    assert pl.read_parquet(killed / "losses.parquet").drop("speed").equals(losses.drop("speed"))
    assert not (killed / "parts").exists()


@pytest.mark.parametrize("moment", [2, 4])
def test_stopped_while_a_model_is_put_into_its_place_it_is_put_there_whole(made, monkeypatch, moment):
    folder, _ = made
    command = f"{TRAIN} --attention momentum-learned --lengths 32 --steps 2 --seed 1".split()
    put, moved = [], Path.replace

    def stopping(path, target):
        if path.parent.parent.name == "momentum-learned-1":
            put.append(path.name)
        if len(put) == moment:
            raise KeyboardInterrupt
        return moved(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stopping)
        assert run_inside(*command, "--out", f"stopped-{moment}", cwd=folder).returncode == 130
    assert len(put) == moment
    found = []
    for run in (f"stopped-{moment}", "straight"):
        done = run_inside(*command, "--out", run, cwd=folder)
        assert done.returncode == 0, done.stderr
        found.append(load_file(folder / run / "momentum-learned-1" / "model.safetensors"))
    assert all(torch.equal(found[0][name], value) for name, value in found[1].items())


# --- the models in other verbs ---

CARD = """
hub: nobody/nothing
training: train
evaluation: test
template: 'Input: {{ text }} Label:'
labels: ['0', '1']
demonstrations: 3
"""


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
        "from llm_icl.backends.transformers import source_of; from transformers import AutoConfig\n"
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
    (folder / "own.yaml").write_text(CARD)
    (folder / "own").mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for split, count in (("train", 60), ("test", 6)):
        bits = rng.integers(0, 2, (count, 4))
        rows = [{"text": " ".join(map(str, row)), "label": int(row[0])} for row in bits]
        (folder / "own" / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = f"finetune-vs-icl --model {models[which]} --dataset own.yaml --data-dir . --examples 3 --seed 1"
    done = run_inside(*command.split(), "--rates", "0.01", "--out", f"against-{which}", cwd=folder)
    assert done.returncode == 0, done.stderr
    answers = pl.read_parquet(folder / f"against-{which}" / "answers.parquet")
    assert set(answers["way"]) >= {"gradient descent", "untrained model", "shuffled labels"}
    measures = pl.read_parquet(folder / f"against-{which}" / "measures.parquet")
    assert measures.filter(pl.col("measure") == "dual form, gap")["value"].max() < 1e-9


# --- wrong requests ---


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--attention sofmax", "unknown attention 'sofmax': did you mean 'softmax'?"),
        ("--attention softmax:eta=0.5", "attention 'softmax' has no option 'eta'"),
        ("--attention momentum-learned:eta=0.5", "attention 'momentum-learned' has no option 'eta'"),
        ("--attention momentum:beta=0.5", "attention 'momentum' has no option 'beta': it takes eta"),
        ("--attention momentum:eta=1", "attention 'momentum:eta=1': eta is at least 0 and below 1"),
        ("--attention momentum:eta=-0.1", "eta is at least 0 and below 1"),
        ("--attention momentum:eta=nan", "eta is at least 0 and below 1"),
        ("--attention momentum:eta=x", "attention 'momentum:eta=x': eta is at least 0 and below 1"),
        ("--attention momentum:eta=true", "eta is at least 0 and below 1"),
        ("--lengths 5,32", "--lengths 5 does not divide the context of 32 tokens"),
        ("--lengths 64", "--lengths 64 does not divide the context of 32 tokens"),
        ("--lengths 0", "--lengths 0 is out of range"),
        ("--heads 3", "a width of 16 cannot be shared among 3 heads"),
        ("--vocabulary 256", "--vocabulary 256 is too small"),
        ("--text missing.txt", "'missing.txt' does not exist"),
        ("--held-out missing.txt", "the text missing.txt cannot be read: No such file"),
        ("--held-out no_such_line..", "the line 'no_such_line' stands 0 times"),
        ("--held-out short.txt", "the held-out text has at most 9 tokens: a context of 32 takes more"),
        ("--seed one", "--seed 'one' is not a whole number"),
        ("--steps 0", "0 is not in the range"),
        ("--rate 0", "0.0 is not in the range"),
    ],
)
def test_a_wrong_request_is_one_clear_line(tmp_path, arguments, message):
    write_texts(tmp_path)
    (tmp_path / "short.txt").write_text("a river\n")
    done = run_inside(*TRAIN.split(), *"--steps 2 --seed 1".split(), *arguments.split(), cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not done.stdout


def test_a_text_that_is_too_short_is_told_apart_and_takes_no_folder(tmp_path):
    write_texts(tmp_path)
    (tmp_path / "short.txt").write_text("a river\n")
    command = f"{TRAIN} --steps 2 --seed 1 --out run"
    done = run_inside(*command.replace("held.txt", "short.txt").split(), cwd=tmp_path)
    assert done.returncode == 2
    assert "held-out" in done.stderr  # and not the other one
    assert run_inside(*command.split(), cwd=tmp_path).returncode == 0


def test_a_text_whose_tokens_are_too_few_though_its_bytes_are_not_takes_no_folder_either(tmp_path):
    write_texts(tmp_path)
    (tmp_path / "short.txt").write_text("bright bright bright bright bright bright")
    command = f"{TRAIN} --attention softmax --steps 2 --seed 1 --out run"
    done = run_inside(*command.replace("held.txt", "short.txt").split(), cwd=tmp_path)
    assert done.returncode == 2
    assert re.search(r"the held-out text has \d+ tokens", done.stderr)
    assert len(done.stderr.strip().splitlines()) == 1
    done = run_inside(*command.split(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_text_that_is_as_long_as_the_context_is_not_called_shorter(tmp_path):
    write_texts(tmp_path)
    (tmp_path / "short.txt").write_text("1" * 31)  # and the end
    command = f"{TRAIN} --steps 2 --seed 1".replace("held.txt", "short.txt")
    done = run_inside(*command.split(), cwd=tmp_path)
    assert done.returncode == 2
    assert "32 tokens is shorter than the context of 32" not in done.stderr


def test_a_rate_that_is_far_too_great_stops_with_the_step_and_the_seed(tmp_path):
    write_texts(tmp_path)
    command = f"{TRAIN} --attention softmax --steps 5 --rate 1e38 --seed 4"
    done = run_inside(*command.split(), cwd=tmp_path)
    assert done.returncode == 1
    assert "the loss is" in done.stderr
    assert "at step 1 with seed 4" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1

"""What language models that were trained are found to be, in the numbers, the words and the report."""

import json
import math
import re

import numpy as np
import polars as pl
import pytest
import torch
from scipy import stats
from transformers import AutoModelForCausalLM, AutoTokenizer

from llm_icl.experiments.language_modelling.report import report_of
from llm_icl.runs import RunDirectory
from tests.experiments.language_modelling.making import ATTENTIONS, COMMAND, LENGTHS, TRAIN
from tests.inside import run_inside
from tests.reports.reading import table_of


def per_token(losses, attention, length):
    """The mean loss of a token for each seed."""
    own = losses.filter((pl.col("attention") == attention) & (pl.col("length") == length))
    return own.group_by("seed").agg(pl.col("loss").mean() / 32).sort("seed")["loss"].to_numpy()


def interval(values):
    return stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))


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
        direction = "lower" if value < 0 else "higher"
        sentence = (
            f"That of {attention} is {abs(value):.2f} % {direction} "
            f"than that of softmax ({value:+.2f} [{low:+.2f}, {high:+.2f}] %): too few seeds to tell."
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
    assert f"trained on {tokens[0]:,} tokens (vocabulary: 300, from the same text)" in report
    assert "30 steps of 4 x 32 tokens, 3,840 in total" in report
    # By hand: 300 + 32 embeddings; 12 w^2 + 13 w for the layer, 2 w for the last norm; 2 x 8 w for the filter.
    plain = (300 + 32) * 16 + 12 * 16**2 + 13 * 16 + 2 * 16
    assert f"{plain:,}" in report
    assert f"{plain + 2 * 8 * 16:,}" in report


def test_the_run_as_json_is_the_tables(made, losses):
    folder, _ = made
    done = run_inside(*COMMAND.split(), "--out", "run", "--json", cwd=folder)
    perplexities, changes = (table_of(done.stdout, key) for key in ("perplexities", "changes"))
    assert [row["attention"] for row in perplexities] == list(ATTENTIONS)
    assert [row["attention"] for row in changes] == list(ATTENTIONS[1:])
    for row in perplexities:
        for length in LENGTHS:
            found = row[f"tokens_{length}"]
            means = per_token(losses, row["attention"], length)
            assert list(found.values()) == pytest.approx(np.exp([means.mean(), *interval(means)]))
    # A column for each length and interval: no two of one name.
    assert all(len(row) == 1 + 2 * len(LENGTHS) for row in changes)


def test_the_report_tells_the_vocabulary_that_was_had_and_not_the_one_that_was_asked_for(made):
    folder, _ = made
    command = f"{TRAIN} --attention softmax --lengths 32 --steps 1 --seed 1 --out words".replace("300", "9000")
    done = run_inside(*command.split(), cwd=folder)
    assert done.returncode == 0, done.stderr
    count = len(AutoTokenizer.from_pretrained(folder / "words" / "tokenizer"))
    assert count < 9000
    assert f"vocabulary: {count:,}, from the same text" in (folder / "words" / "report.md").read_text()


@pytest.fixture(scope="module")
def single(made):
    folder, _ = made
    command = f"{TRAIN} --attention softmax,momentum:eta=0 --lengths 32,16 --steps 5 --seed 1 --out single"
    done = run_inside(*command.split(), cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "single", done


def test_one_training_tells_nothing_of_another(single):
    _, done = single
    assert re.search(r"That of momentum:eta=0 is .* than that of softmax \(.*\): too few seeds to tell\.", done.stdout)
    assert "Trust (can't tell): One seed per attention" in done.stdout
    assert "corrected" not in done.stdout


def test_the_figures_of_one_training_are_finite(single):
    folder, _ = single
    figures = [figure for section in report_of([RunDirectory(folder)]).sections for figure in section.figures()]
    specifications = json.dumps([figure.specification for figure in figures], allow_nan=False)
    assert "momentum:eta=0" in specifications
    assert '"low": -1.0' not in specifications  # nor an interval to -100 %


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

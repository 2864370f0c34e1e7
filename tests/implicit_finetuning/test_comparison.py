"""A whole comparison on a tiny model: its numbers, its controls, its report, and how it goes on after a stop."""

import dataclasses
import json
import subprocess
import sys
import time

import polars as pl
import pytest
from transformers import AutoTokenizer, MambaConfig, MambaForCausalLM

from llm_icl.backends.catalogue import find_model
from llm_icl.implicit_finetuning import comparison, text_tasks
from tests.conftest import TinyModels
from tests.implicit_finetuning.own_texts import write_own_texts
from tests.inside import run_inside


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("comparison")
    write_own_texts(folder, 80, 12)
    model = TinyModels(folder).gpt2()
    command = f"finetune-vs-icl --model hf/{model} --dataset own.yaml --data-dir . --examples 8 --seed 1,2"
    command += " --rates 0.01,0.1 --out run"
    done = run_inside(*command.split(), cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, command, done


def test_every_way_answers_every_query_of_every_seed(made):
    folder, *_ = made
    answers = pl.read_parquet(folder / "run" / "answers.parquet")
    counts = answers.group_by("way").len().sort("way")
    assert dict(counts.iter_rows()) == {
        "gradient descent": 16, "layer-causal gradient descent": 16, "other demonstrations": 16,
        "shuffled labels": 16, "untrained model": 16,
    }  # fmt: skip
    trained = answers.filter(pl.col("way") != "untrained model")
    # Without demonstrations, and with the same in context, the ways of finetuning make no difference.
    assert trained.group_by("seed", "example").agg(pl.col("zs").n_unique(), pl.col("icl").n_unique())[
        ["zs", "icl"]
    ].max().row(0) == (1, 1)
    assert (
        answers.filter(pl.col("seed") == 1)["label"].to_list() == answers.filter(pl.col("seed") == 2)["label"].to_list()
    )


def test_measures_are_what_they_must_be(made):
    folder, *_ = made
    rows = pl.read_parquet(folder / "run" / "measures.parquet")
    bounds = rows.filter(~pl.col("measure").str.contains("distance")).select(
        pl.col("value").fill_nan(None).min().alias("low"), pl.col("value").fill_nan(None).max().alias("high")
    )
    assert bounds["low"][0] >= -1 - 1e-9
    assert bounds["high"][0] <= 1 + 1e-9
    assert rows.filter(pl.col("measure") == "dual form, gap")["value"].max() < 1e-10
    # Before anything is learned it does not matter what will be.
    null = rows.filter((pl.col("measure") == "Kendall, not finetuned") & (pl.col("way") != "untrained model"))
    assert null.group_by("seed", "example").agg(pl.col("value").n_unique())["value"].max() == 1
    assert null["way"].n_unique() == 4


def test_the_report_says_it_in_words_and_tables(made):
    folder, _, done = made
    text = (folder / "run" / "report.md").read_text()
    assert "In-context learning against finetuning" in text
    assert "SimAOU is" in text
    assert "SimAOU is" in done.stdout
    assert "published, GPT" not in text.split("## How to read this")[0]  # the paper has no such texts
    assert (folder / "run" / "report.html").stat().st_size > 100_000


def test_the_same_command_shows_the_same_and_another_is_refused(made):
    folder, command, done = made
    assert run_inside(*command.split(), cwd=folder).stdout == done.stdout
    other = run_inside(*command.replace("--examples 8", "--examples 9").split(), cwd=folder)
    assert other.returncode == 2
    assert "holds the run of another request" in other.stderr


def test_killed_after_a_seed_it_goes_on_from_there_to_the_same_numbers(made):
    folder, command, done = made
    command = command.replace("--out run", "--out killed")
    script = [sys.executable, "-c", "from llm_icl.cli.main import main; main()", *command.split()]
    first = folder / "killed" / "parts" / "trained-1.npz"
    with subprocess.Popen(script, cwd=folder, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not first.is_file():
            time.sleep(0.01)
        process.kill()
    made_at = first.stat().st_mtime_ns
    seen = []

    def watch(path, *rest):
        seen.append((path.name, path.stat().st_mtime_ns))
        return load(path, *rest)

    load = comparison._load
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison, "_load", watch)
        again = run_inside(*command.split(), cwd=folder)
    assert again.stdout == done.stdout.replace("report: run", "report: killed")
    assert seen[0] == ("trained-1.npz", made_at)
    assert not first.parent.exists()


def test_the_papers_choice_reports_the_best_seed_only(made):
    folder, command, _ = made
    command = command.replace("--seed 1,2", "--seed 1,2,3,4 --choose-on evaluation --best-seed --no-controls")
    done = run_inside(*command.replace("--out run", "--out best").split(), cwd=folder)
    assert done.returncode == 0, done.stderr
    answers = pl.read_parquet(folder / "best" / "answers.parquet")
    (chosen,) = answers["seed"].unique()
    right = {}
    for seed in (1, 2, 3, 4):
        one = command.replace("--seed 1,2,3,4", f"--seed {seed}").replace("--out run", f"--out seed-{seed}")
        assert run_inside(*one.split(), cwd=folder).returncode == 0
        alone = pl.read_parquet(folder / f"seed-{seed}" / "answers.parquet").filter(pl.col("way") == "gradient descent")
        right[seed] = (alone["icl"] == alone["label"]).sum()
    assert chosen == max(right, key=lambda seed: (right[seed], -seed))
    text = (folder / "best" / "report.md").read_text()
    assert f"seed {chosen}, the best in context of 1, 2, 3, 4" in text
    assert "chosen on the very examples that are reported, as in the paper" in text


def test_demonstrations_that_do_not_fit_are_refused_or_cut_for_both(made, tmp_path):
    folder, command, _ = made
    small = TinyModels(tmp_path).gpt2(context=96)
    command = command.split("--out")[0].replace("--seed 1,2", "--seed 1 --demonstrations 12 --no-controls")
    command = " ".join(f"hf/{small}" if word.startswith("hf/") else word for word in command.split())
    refused = run_inside(*command.split(), "--out", "refused", cwd=folder)
    assert refused.returncode == 2
    assert "--too-many cut" in refused.stderr
    # The folder is free for a request that fits.
    done = run_inside(*command.split(), "--too-many", "cut", "--out", "refused", cwd=folder)
    assert done.returncode == 0, done.stderr
    record = json.loads((folder / "refused" / "run.json").read_text())
    count = record["demonstrations"]["1"]
    assert 1 <= count < 12
    assert f"{count} demonstrations (of 12: as many as fit)" in (folder / "refused" / "report.md").read_text()


def test_texts_to_try_on_are_neither_demonstrated_nor_reported(made):
    task = text_tasks.TextTask("toy", "", "", "train", "test", "{{ text }}", ("a", "b"), 3)
    training = [text_tasks.Example(f"t{i}", 0) for i in range(90)]
    evaluation = [text_tasks.Example(f"e{i}", 0) for i in range(20)]
    request = comparison.ComparisonRequest(
        find_model("hf/none"), task, text_tasks.Splits(training, evaluation), (1, 2, 3), 4, 10, (0.1,), "training",
        "newline", True,
    )  # fmt: skip
    used = {example.text for seed in (1, 2, 3) for part in request.drawn(seed) for example in part}
    tried = {example.text for example in request.tried}
    assert len(tried) == 50
    assert not tried & (used | {example.text for example in evaluation})
    same = dataclasses.replace(request, choose_on="evaluation")
    assert same.tried == same.evaluation


def test_a_model_without_attention_is_refused(made, tmp_path):
    folder, command, _ = made
    source = next(word for word in command.split() if word.startswith("hf/")).removeprefix("hf/")
    tokenizer = AutoTokenizer.from_pretrained(source)
    config = MambaConfig(vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, state_size=4)
    MambaForCausalLM(config).save_pretrained(tmp_path / "mamba")
    tokenizer.save_pretrained(tmp_path / "mamba")
    done = run_inside(
        *command.replace(source, str(tmp_path / "mamba")).replace("--out run", "--out no").split(), cwd=folder
    )
    assert done.returncode == 2
    assert "MambaForCausalLM has no attention layers" in done.stderr
    assert "Traceback" not in done.stderr

"""A whole comparison on a tiny model: its numbers, its controls, its report, and how it goes on after a stop."""

import dataclasses
import json
import shutil
import subprocess
import sys
import time

import numpy as np
import polars as pl
import pytest
import torch
from transformers import AutoTokenizer, MambaConfig, MambaForCausalLM

from llm_icl.backends.catalogue import find_model
from llm_icl.errors import RequestError
from llm_icl.experiments.finetuning import choosing, comparison, text_tasks
from llm_icl.experiments.finetuning.descent import finetune
from llm_icl.experiments.finetuning.measures import DUAL_GAP, MEASURES, SIMAM_BEFORE
from llm_icl.experiments.finetuning.methods import (
    LAYER_CAUSAL,
    LAYER_CAUSAL_MATCHED,
    ORDER,
    OTHER,
    PUBLISHED_METHOD,
    RANDOM,
    SHUFFLED,
    UNTRAINED,
    UNTRAINED_RANDOM,
    draws,
)
from llm_icl.experiments.finetuning.projections import attention_layers
from llm_icl.experiments.finetuning.reader import load_reader
from llm_icl.experiments.finetuning.request import ComparisonRequest
from llm_icl.experiments.finetuning.study import Subject, study
from llm_icl.experiments.finetuning.updates import lengths
from llm_icl.progress import silent
from tests.conftest import TinyModels
from tests.experiments.finetuning.own_texts import write_own_texts
from tests.inside import run_inside

# The names of the updates in the files of runs.
WAYS = (
    PUBLISHED_METHOD, LAYER_CAUSAL, LAYER_CAUSAL_MATCHED, *draws(RANDOM), OTHER, SHUFFLED, ORDER, UNTRAINED,
    *draws(UNTRAINED_RANDOM),
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("comparison")
    write_own_texts(folder, 80, 12)
    model = TinyModels(folder).gpt2()
    command = f"finetune-vs-icl --model hf/{model} --dataset own.yaml --data-dir . --examples 8 --seed 1,2,3"
    command += " --rates 0.01,0.1 --out run"
    done = run_inside(*command.split(), cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, command, done


def requested(folder, command):
    """The request of the command, and its model as a reader."""
    name = next(word for word in command.split() if word.startswith("hf/"))
    task = text_tasks.load_text_task(str(folder / "own.yaml"))
    splits = text_tasks.load_splits(task, folder)
    request = ComparisonRequest(
        find_model(name), task, splits, (1, 2, 3), task.demonstrations, 8, (0.01, 0.1), "training", "newline", True
    )
    return request, load_reader(request.model, task, "newline")


@torch.no_grad()
def mean_loss(reader, examples):
    """By transformers' own reckoning."""
    ids = [torch.tensor([[*reader.beginning, *reader.demonstration(example)]]) for example in examples]
    return float(np.mean([float(reader.model(input_ids=one, labels=one).loss) for one in ids]))


def test_every_method_answers_every_query_of_every_seed(made):
    folder, *_ = made
    answers = pl.read_parquet(folder / "run" / "answers.parquet")
    counts = answers.group_by("way").len().sort("way")
    assert dict(counts.iter_rows()) == dict.fromkeys(sorted(WAYS), 24)
    trained = answers.filter(~pl.col("way").str.starts_with(UNTRAINED))
    # Without demonstrations the update makes no difference, nor in context, but for the order of the demonstrations.
    assert trained.group_by("example").agg(pl.col("zs").n_unique())["zs"].max() == 1
    same = trained.filter(pl.col("way") != ORDER).group_by("seed", "example").agg(pl.col("icl").n_unique())
    assert same["icl"].max() == 1
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
    assert rows.filter(pl.col("measure") == DUAL_GAP.name)["value"].max() < 1e-10
    # Before anything is learned it does not matter what will be.
    before = rows.filter((pl.col("measure") == SIMAM_BEFORE.name) & ~pl.col("way").str.starts_with(UNTRAINED))
    assert before.group_by("seed", "example").agg(pl.col("value").n_unique())["value"].max() == 1
    assert before["way"].n_unique() == len(WAYS) - 4


def test_runs_keep_the_names_of_runs_of_earlier_versions(made):
    """Their files are read by these names, so that none of them may change."""
    folder, *_ = made
    measures, layers = (pl.read_parquet(folder / "run" / f"{name}.parquet") for name in ("measures", "layers"))
    assert pl.read_parquet(folder / "run" / "answers.parquet").columns == [
        "way", "seed", "example", "label", "zs", "icl", "ft"
    ]  # fmt: skip
    assert measures.columns == ["way", "seed", "example", "measure", "value"]
    assert layers.columns == ["way", "measure", "layer", "value"]
    # In this order: it is that of the rows.
    assert layers.filter(pl.col("way") == "gradient descent")["measure"].unique(maintain_order=True).to_list() == [
        "SimAM before finetuning", "dual form, gap", "dual form, cosine of softmax's change",
        "dual form, distance of softmax", "SimAOU", "SimAOU at a label", "SimAM", "SimAM of changes",
        "SimAM of changes, after softmax", "Kendall", "top tokens", "top demonstrations", "Kendall, as published",
    ]  # fmt: skip
    assert set(measures["measure"]) == set(layers["measure"]) == {measure.name for measure in MEASURES}
    record = json.loads((folder / "run" / "run.json").read_text())
    assert {"rates", "demonstrations", "kept_labels", "losses", "scales"} <= set(record)
    assert set(record["losses"]) == set(record["scales"]) == set(WAYS)
    assert set(record["rates"]) == {
        "gradient descent", "layer-causal gradient descent", "layer-causal, matched length", "other demonstrations",
        "shuffled labels", "another order", "untrained model",
    }  # fmt: skip
    assert {"rates", "choose_on", "best_seed", "cut", "separator"} <= set(record["request"])
    done = run_inside("report", "run", "--out", "again", cwd=folder)
    assert done.returncode == 0, done.stderr
    text = (folder / "again" / "report.md").read_text()
    for name in ("SimAOU", "Kendall, as published", "random updates"):
        assert f"| {name} " in text, name


def test_the_report_says_it_in_words_and_tables(made):
    folder, _, done = made
    text = (folder / "run" / "report.md").read_text()
    assert "In-context learning against finetuning" in text
    assert "SimAOU is" in text
    unchanged = json.loads((folder / "run" / "run.json").read_text())["kept_labels"]
    assert f"shuffled labels: {', '.join(f'{100 * same:.0f} %' for same in unchanged.values())} unchanged" in text
    assert "SimAOU is" in done.stdout
    assert "published, GPT" not in text.split("## How to read this")[0]  # the paper has no such texts
    assert (folder / "run" / "report.html").stat().st_size > 100_000


def test_the_same_command_shows_the_same_and_another_is_refused(made):
    folder, command, done = made
    assert run_inside(*command.split(), cwd=folder).stdout == done.stdout
    other = run_inside(*command.replace("--examples 8", "--examples 9").split(), cwd=folder)
    assert other.returncode == 2
    assert "already contains a different run" in other.stderr


def test_a_run_of_an_earlier_version_is_told_to_be_one(made, tmp_path):
    folder, *_ = made
    shutil.copytree(folder / "run", tmp_path / "old")
    record = json.loads((tmp_path / "old" / "run.json").read_text())
    del record["scales"]
    (tmp_path / "old" / "run.json").write_text(json.dumps(record))
    done = run_inside("report", "old", cwd=tmp_path)
    assert done.returncode == 2
    assert "made by an earlier version, without scales: re-run it" in done.stderr


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

    load = comparison.load_part
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison, "load_part", watch)
        again = run_inside(*command.split(), cwd=folder)
    assert again.stdout == done.stdout.replace("report: run", "report: killed")
    assert seen[0] == ("trained-1.npz", made_at)
    assert not first.parent.exists()


def test_the_papers_choice_reports_the_best_seed_only(made):
    folder, command, _ = made
    command = command.replace("--seed 1,2,3", "--seed 1,2,3,4 --choose-on evaluation --best-seed --no-controls")
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
    assert "unchanged" not in text  # nothing was shuffled
    assert f"seed {chosen}, the best in context of 1, 2, 3, 4" in text
    assert "chosen on the reported examples, as in the paper" in text


def test_demonstrations_that_do_not_fit_are_refused_or_cut_for_both(made, tmp_path):
    folder, command, _ = made
    small = TinyModels(tmp_path).gpt2(context=96)
    command = command.split("--out")[0].replace("--seed 1,2,3", "--seed 1 --demonstrations 12 --no-controls")
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
    assert (
        f"{count} demonstrations (of 12: as many as fit the context)" in (folder / "refused" / "report.md").read_text()
    )


def test_a_text_that_is_too_long_is_left_out_and_counted(made, tmp_path, caplog):
    folder, command, _ = made
    small = TinyModels(tmp_path).gpt2(context=96)
    shutil.copytree(folder / "own", tmp_path / "own")
    shutil.copy(folder / "own.yaml", tmp_path)
    path = tmp_path / "own" / "test.jsonl"
    lines = path.read_text().splitlines()
    lines[4] = json.dumps({"text": "0 1 " * 60, "label": 0})
    path.write_text("\n".join(lines))
    command = command.split("--out")[0].replace("--seed 1,2,3", "--seed 1 --no-controls --out run")
    command = " ".join(f"hf/{small}" if word.startswith("hf/") else word for word in command.split())
    command = command.replace("--examples 8", "--examples 12")
    refused = run_inside(*command.split(), cwd=tmp_path)
    assert refused.returncode == 2
    assert "own/test.jsonl, line 5 has " in refused.stderr
    assert "more than the model's context of 96: --too-long drop leaves it out" in refused.stderr
    done = run_inside(*command.split(), "--too-long", "drop", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = "1 text left out, too long for the context with all demonstrations; the longest, own/test.jsonl, line 5, has"
    assert said in caplog.text
    report = (tmp_path / "run" / "report.md").read_text()
    assert said in report
    assert "11 queries" in report
    assert "texts are also in train" in report
    assert any(said in remark for remark in json.loads((tmp_path / "run" / "run.json").read_text())["remarks"])


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


def test_each_method_has_learned_what_its_name_says(made, monkeypatch):
    """Which texts it was finetuned on, at which learning rate, and how long its update is."""
    request, reader = requested(*made[:2])
    learned, studied = [], {}

    def watch(reader, layers, texts, rate, *rest):
        found = finetune(reader, layers, texts, rate, *rest)
        learned.append((list(texts), rate, found))
        return found

    def look(subject, demonstrations, updates, reordered=()):
        studied.update({name: (update(), list(demonstrations), list(reordered)) for name, update in updates.items()})
        return {}

    finetune = comparison.finetune
    monkeypatch.setattr(comparison, "finetune", watch)
    monkeypatch.setattr(comparison, "study", look)
    request = dataclasses.replace(request, rates=(0.05,))
    subject = Subject(reader, request.evaluation, silent)
    comparison._trained(request, 2, subject, silent)
    demonstrations, others = request.drawn(2)
    shuffled, turned = (
        comparison.with_shuffled_labels(demonstrations, 2),
        comparison.in_another_order(demonstrations, 2),
    )
    assert [texts for texts, *_ in learned] == [demonstrations, others, shuffled, turned]
    assert {rate for _, rate, _ in learned} == {0.05}
    assert set(studied) == set(WAYS) - {UNTRAINED, *draws(UNTRAINED_RANDOM)}
    assert all(rest == [demonstrations, turned] for _, *rest in studied.values())
    wanted = lengths(subject.layers, studied[PUBLISHED_METHOD][0])
    for name, (update, *_) in studied.items():
        same = lengths(subject.layers, update) == pytest.approx(wanted, rel=1e-3)
        assert same == (name != LAYER_CAUSAL), name
    for (_, _, found), name in zip(learned[1:], (OTHER, SHUFFLED, ORDER), strict=True):
        own, matched = (changes(subject, some) for some in (found, studied[name][0]))
        for one, other in zip(own, matched, strict=True):
            assert float(torch.cosine_similarity(one, other, dim=0)) > 0.999, name


def changes(subject, update):
    originals = (parameter.detach() for layer in subject.layers for parameter, _ in layer.trained)
    return [(new - old).flatten() for new, old in zip(update.parameters, originals, strict=True)]


def test_losses_are_those_of_the_demonstrations_before_and_after(made):
    folder, command, _ = made
    request, reader = requested(folder, command)
    losses = json.loads((folder / "run" / "run.json").read_text())["losses"]
    for seed in (1, 2, 3):
        demonstrations, _ = request.drawn(seed)
        untrained = load_reader(request.model, request.task, request.separator, random=seed)
        for way in WAYS:
            before, after = losses[way][str(seed)]
            model = untrained if way.startswith(UNTRAINED) else reader
            assert before == pytest.approx(mean_loss(model, demonstrations), rel=1e-5), way
            assert after != before, way
        own_before, own_after = losses[PUBLISHED_METHOD][str(seed)]
        assert own_after < own_before - 0.1
        # Random updates hardly change what finetuning of the same length changes much.
        for way in draws(RANDOM):
            assert abs(losses[way][str(seed)][1] - own_before) < 0.5 * (own_before - own_after)


def test_random_updates_of_a_seed_differ_from_each_other(made):
    rows = pl.read_parquet(made[0] / "run" / "measures.parquet").filter(pl.col("measure") == "SimAOU")
    values = {tuple(rows.filter(pl.col("way") == way)["value"]) for way in draws(RANDOM)}
    assert len(values) == len(draws(RANDOM))


def test_another_order_is_another_one_and_always_the_same(made):
    request, _ = requested(*made[:2])
    texts = [dataclasses.replace(example, text=f"{i}") for i, example in enumerate(request.drawn(1)[0])]
    for seed in range(20):
        turned = comparison.in_another_order(texts, seed)
        assert sorted(map(texts.index, turned)) == list(range(len(texts)))
        assert turned == comparison.in_another_order(texts, seed) != texts
    assert comparison.in_another_order(texts[:1], 0) == texts[:1]


def test_shuffling_moves_labels_and_nothing_else(made):
    request, _ = requested(*made[:2])
    drawn = request.drawn(1)[0]
    examples = [dataclasses.replace(drawn[i % len(drawn)], label=i % 3) for i in range(30)]
    shuffled = comparison.with_shuffled_labels(examples, 1)
    assert [one.text for one in shuffled] == [one.text for one in examples]
    assert sorted(one.label for one in shuffled) == sorted(one.label for one in examples)
    kept = sum(one.label == other.label for one, other in zip(examples, shuffled, strict=True))
    assert 1 <= kept < 20
    assert comparison.unchanged_labels(examples, 1) == kept / 30


def test_shuffling_changes_some_label_wherever_labels_differ(made):
    request, _ = requested(*made[:2])
    one = request.drawn(1)[0][0]
    two = [dataclasses.replace(one, label=label) for label in (0, 1)]
    for seed in range(20):
        assert [other.label for other in comparison.with_shuffled_labels(two, seed)] == [1, 0]
        assert comparison.unchanged_labels([one, one], seed) == 1


def test_a_candidate_learning_rate_that_diverges_is_in_the_record_and_the_report(made):
    folder, command, _ = made
    command = command.replace("--rates 0.01,0.1 --out run", "--rates 0.01,1e5 --no-controls --out diverged")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choosing, "finetune", diverging)
        done = run_inside(*command.split(), cwd=folder)
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "diverged" / "run.json").read_text())["left_out"] == {
        str(seed): [1e5] for seed in (1, 2, 3)
    }
    said = "Left out, since finetuning diverged: learning rate 100000 (seed 1, 2, 3)."
    assert said in (folder / "diverged" / "report.md").read_text().replace("\n", " ")


def diverging(reader, layers, demonstrations, rate, *rest):
    if rate > 1:
        raise FloatingPointError("the loss is nan")
    return finetune(reader, layers, demonstrations, rate, *rest)


def test_learning_rates_are_chosen_on_the_validation_texts(made, monkeypatch):
    folder, command, _ = made
    request, reader = requested(folder, command)
    seen = []

    def watch(reader, layers, demonstrations, validation, *rest):
        seen.append((demonstrations, validation))
        return best_rate(reader, layers, demonstrations, validation, *rest)

    best_rate = comparison.best_rate
    monkeypatch.setattr(comparison, "best_rate", watch)
    monkeypatch.setattr(comparison, "study", lambda *_: {})
    comparison._trained(request, 2, Subject(reader, request.evaluation, silent), silent)
    assert seen == [(request.drawn(2)[0], request.validation)]


def test_layer_causal_descent_has_gradient_descents_learning_rate_or_the_next_at_which_it_stays_finite(
    made, monkeypatch
):
    request, reader = requested(*made[:2])
    layers = attention_layers(reader.model)
    attempts = []

    def limited(reader, layers, demonstrations, rate, backward):
        attempts.append(rate)
        if rate > 0.02:
            raise FloatingPointError("too large")
        return finetune(reader, layers, demonstrations, rate, backward)

    texts = request.drawn(1)[0]
    assert choosing.layer_causal(reader, layers, texts, 0.1, (0.01, 0.1, 0.3))[0] == 0.1
    finetune = choosing.finetune
    monkeypatch.setattr(choosing, "finetune", limited)
    assert choosing.layer_causal(reader, layers, texts, 0.1, (0.01, 0.1, 0.3, 0.001))[0] == 0.01
    assert attempts == [0.1, 0.01]
    with pytest.raises(RequestError, match="all learning rates are too large"):
        choosing.layer_causal(reader, layers, texts, 0.1, (0.1, 0.05))


def test_answers_that_are_not_finite_are_none(made):
    request, reader = requested(*made[:2])
    reader.model.get_input_embeddings().weight.data.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="not finite"):
        reader.answer(reader.read([]), request.evaluation[0])
    with pytest.raises(RequestError, match=r"^without demonstrations: an answer's log-probability is not finite$"):
        study(Subject(reader, request.evaluation, silent), request.drawn(1)[0], {})

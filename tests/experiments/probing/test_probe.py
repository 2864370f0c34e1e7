"""`llm-icl probe` on a small language model and on small networks, against attention weights computed here."""

import dataclasses
import math

import numpy as np
import polars as pl
import pytest
import torch

from llm_icl.config.specs import parse_specs
from llm_icl.experiments.training.experiment import Training
from llm_icl.experiments.training.options import TrainingOptions
from llm_icl.networks.trained import find_trained
from llm_icl.prompting import load_prompt, render
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.drawing import draw_problems
from local_models.backbone import Backbone
from tests.conftest import TinyModels
from tests.inside import run_inside
from tests.reports.browser import opened
from tests.reports.reading import table_of

N, POINTS, COPIES, PROBLEMS = 3, 8, 3, 2
TASK = "conjunction"
SIZE = f"--task {TASK} --n {N} --points {POINTS} --problems {PROBLEMS} --copies {COPIES}".split()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small language model, and networks that were trained for four steps."""
    folder = tmp_path_factory.mktemp("probed")
    TinyModels(folder).gpt2()
    for name, architecture in (("net", "transformer"), ("memory", "lstm"), ("elsewhere/net", "hybrid")):
        train(folder / name, architecture)
    return folder


@pytest.fixture(scope="module")
def of_language_model(folder):
    done = run_inside("probe", "--model", folder / "gpt2", *SIZE, "--out", folder / "words")
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def of_network(folder):
    sizes = ["--task", TASK, "--problems", PROBLEMS, "--copies", COPIES]
    done = run_inside("probe", "--model", folder / "net", *sizes, "--out", folder / "bits")
    assert done.returncode == 0, done.stderr
    return done


def train(path, architecture, points=POINTS):
    options = TrainingOptions(
        task=(TASK,), architecture=architecture, n=N, points=points, layers=2, width=16, steps=4, batch_size=4
    )
    Training.of(options).run(path)


def drawn():
    return draw_problems(load_task(parse_specs([TASK])[0]), N, POINTS, PROBLEMS, 0)


def repeated(problems):
    """The first points of each problem as often as they fit COPIES times: 2 of 8 points, 3 times."""
    several = POINTS // COPIES
    parts = {key: getattr(problems, key)[:, :several] for key in ("xs", "ys", "shown")}
    return dataclasses.replace(problems, **{key: np.concatenate([part] * COPIES, 1) for key, part in parts.items()})


def targets(xs, score):
    """For each query that has any, the earlier points whose labels count."""
    found = {}
    for k in range(1, len(xs)):
        apart = [int((xs[k] != xs[j]).sum()) for j in range(k)]
        if score == "induction":
            if k >= POINTS // COPIES:
                found[k] = [j for j in range(k) if j % (POINTS // COPIES) == k % (POINTS // COPIES)]
        elif k >= POINTS // 2:
            found[k] = [j for j in range(k) if apart[j] == min(apart)]
    return found


def scores_of(weights_of, places_of):
    """Each head's score by plain loops, and that of uniform attention, from the attention weights of one problem."""
    expected = {}
    for score, problems in (("induction", repeated(drawn())), ("nearest-neighbour", drawn())):
        for i in range(PROBLEMS):
            weights, (queries, labels) = weights_of(problems, i), places_of(problems, i)
            wanted = targets(problems.xs[i], score)
            for layer, of_layer in enumerate(weights):
                for head, of_head in enumerate(of_layer):
                    sums = [sum(float(of_head[queries[k], labels[j]]) for j in some) for k, some in wanted.items()]
                    uniform = [len(some) / (queries[k] + 1) for k, some in wanted.items()]
                    expected.setdefault((score, layer, head), []).append((np.mean(sums), np.mean(uniform)))
    return {key: np.mean(pairs, axis=0).tolist() for key, pairs in expected.items()}


def assert_scores(path, expected, name, tolerance):
    frame = pl.read_parquet(path / "heads.parquet")
    found = {(row["score"], row["layer"], row["head"]): row for row in frame.iter_rows(named=True)}
    assert len(frame) == len(found)
    assert set(found) == set(expected)
    assert set(frame["model"]) == {name}
    for key, (value, uniform) in expected.items():
        assert found[key]["value"] == pytest.approx(value, abs=tolerance)
        assert found[key]["uniform"] == pytest.approx(uniform, abs=1e-12)
        assert 0 <= found[key]["low"] <= found[key]["value"] <= found[key]["high"] <= 1
    assert frame["value"].std() > 0.001  # the comparison can fail


# --- the scores ---


def test_the_scores_of_a_language_model_are_those_of_its_own_attention_weights(folder, of_language_model):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder / "gpt2")
    model = AutoModelForCausalLM.from_pretrained(folder / "gpt2", attn_implementation="eager").eval()
    prompt = load_prompt(parse_specs(["basic"])[0])

    def tokens_before_label(problems, i, k):
        """Up to where the tokens with either label part."""
        text = render(prompt, problems, i, k).completion()
        zero, one = (tokenizer(text + label)["input_ids"] for label in (" 0", " 1"))
        return zero[: next(j for j, (a, b) in enumerate(zip(zero, one, strict=False)) if a != b)]

    def weights_of(problems, i):
        tokens = torch.tensor([tokens_before_label(problems, i, problems.points - 1)])
        with torch.no_grad():
            return [found[0].numpy() for found in model(tokens, output_attentions=True).attentions]

    def places_of(problems, i):
        labels = [len(tokens_before_label(problems, i, k)) for k in range(problems.points)]
        return [label - 1 for label in labels], labels

    name = f"hf/{folder / 'gpt2'}"
    assert_scores(folder / "words", scores_of(weights_of, places_of), name, 1e-6)


def test_the_scores_of_a_network_are_those_of_its_own_attention_weights(folder, of_network):
    """n and points are those that it was trained for."""
    model = find_trained(str(folder / "net")).load()

    def weights_of(problems, i):
        tokens = torch.zeros(2 * problems.points, N + 1)
        tokens[::2, :N] = 2.0 * torch.from_numpy(problems.xs[i]) - 1
        tokens[1::2, N] = 2.0 * torch.from_numpy(problems.shown[i]) - 1
        found = []
        with torch.no_grad():
            x = model.read_in(tokens) + model.positions[: len(tokens)]
            for block in model.blocks:
                queries, keys, _ = block.mixer.inside(block.before_mixer(x)).split(16, -1)
                heads = zip(queries.split(4, -1), keys.split(4, -1), strict=True)  # four heads of four
                past = torch.ones(len(tokens), len(tokens)).tril().log()
                found.append([torch.softmax(q @ k.T / math.sqrt(4) + past, -1) for q, k in heads])
                x = block(x[None])[0]
        return found

    def places_of(problems, _):
        return [2 * k for k in range(problems.points)], [2 * k + 1 for k in range(problems.points)]

    assert_scores(folder / "bits", scores_of(weights_of, places_of), "net", 1e-6)


def test_a_network_holds_its_attention_layers_only(folder):
    """A hybrid's layer 0 has no heads, its layer 1 has."""
    done = run_inside("probe", "--model", folder / "elsewhere" / "net", *SIZE, "--out", folder / "hybrid", "--json")
    assert done.returncode == 0, done.stderr
    assert {(head["layer"], head["head"]) for head in table_of(done.stdout, "heads")} == {(1, h) for h in range(4)}


# --- what is written ---


def test_the_same_command_shows_what_it_found(folder, of_network):
    path = folder / "bits" / "heads.parquet"
    before = path.stat().st_mtime_ns
    command = ["--task", TASK, "--problems", PROBLEMS, "--copies", COPIES, "--out", folder / "bits"]
    done = run_inside("probe", "--model", folder / "net", *command)
    assert (done.returncode, done.stdout) == (0, of_network.stdout)
    assert path.stat().st_mtime_ns == before
    done = run_inside("probe", "--model", folder / "net", *command, "--seed", 1)
    assert done.returncode == 2
    assert "already contains a different run" in done.stderr


def test_the_best_head_stands_in_the_report(folder, of_language_model):
    frame = pl.read_parquet(folder / "words" / "heads.parquet")
    text = (folder / "words" / "report.md").read_text()
    for score in ("induction", "nearest-neighbour"):
        best = frame.filter(pl.col("score") == score).sort("value").row(-1, named=True)
        place = f"the maximum is {best['value']:.3f} (layer {best['layer']}, head {best['head']})"
        assert place in text
        assert place in of_language_model.stdout
    assert f"{PROBLEMS} problems of {TASK}, n = 3, 8 points; for induction, 2 points repeated 3 times." in text


@pytest.mark.browser
def test_both_heat_maps_are_drawn(chromium, folder, of_language_model):
    with opened(chromium, folder / "words" / "report.html") as page:
        cells = "f => f.querySelectorAll('.mark-rect path[data-says]').length"
        drawn = page.evaluate(f"[...document.querySelectorAll('figure')].map({cells})")
    assert drawn == [4, 4]  # two layers of two heads


# --- wrong requests ---


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("memory", "", "memory has no attention heads"),
        ("net", "--copies 5", "--copies 5 requires --points of at least 10, not 8"),
        ("net", "--n 4", "net was trained for n = 3, not n = 4"),
        ("net", "--points 9", "net supports at most 8 points, not 9"),
        ("net", "--task conjunctoin", "unknown task 'conjunctoin'"),
        ("net --model elsewhere/net", "", "the same model is given twice"),
        ("gpt2", "--points 300", "cannot fit 300 points"),
    ],
)
def test_a_wrong_request_is_one_clear_line(folder, tmp_path, model, options, message):
    """Two networks of one name would be one in the table and in the maps."""
    models = [f"--model={folder / name}" for name in model.split(" --model ")]
    sizes = [] if "points" in options else ["--copies", "3"] if "copies" not in options else []
    done = run_inside("probe", *models, "--problems", 2, *sizes, *options.split(), "--out", tmp_path / "out")
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr
    said = [
        line for line in done.stderr.split("\n") if line and "Loading weights" not in line
    ]  # silent in a new process
    assert len(said) == 1
    assert not (tmp_path / "out" / "run.json").exists()


def test_an_unknown_model_is_one_clear_line(tmp_path):
    done = run_inside("probe", "--model", "smolm2-135m", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "unknown model 'smolm2-135m': did you mean 'smollm2-135m'?" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_language_model_without_heads_is_one_clear_line(folder, tmp_path):
    from transformers import AutoTokenizer, MambaConfig, MambaForCausalLM

    MambaForCausalLM(MambaConfig(vocab_size=400, hidden_size=16, num_hidden_layers=1)).save_pretrained(folder / "mamba")
    AutoTokenizer.from_pretrained(folder / "gpt2").save_pretrained(folder / "mamba")
    done = run_inside("probe", "--model", folder / "mamba", *SIZE, "--out", tmp_path / "out")
    assert done.returncode == 2, done.stderr
    assert "has no attention heads" in done.stderr


def test_a_network_without_heads_leaves_nothing_behind(folder, tmp_path):
    run_inside("probe", "--model", folder / "memory", "--copies", 2, "--problems", 2, "--out", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_attention_that_is_not_finite_has_no_scores(folder, tmp_path, monkeypatch):
    attention = Backbone.attention

    def spoiled(self, inputs):
        return {layer: weights * (torch.nan if layer == 1 else 1) for layer, weights in attention(self, inputs).items()}

    monkeypatch.setattr(Backbone, "attention", spoiled)
    done = run_inside("probe", "--model", folder / "net", "--copies", 2, "--problems", 2, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "net: the attention weights of layer 1 are not finite" in done.stderr
    assert not (tmp_path / "out" / "heads.parquet").exists()

"""A wrong request is one clear line and exit status 2, and leaves nothing behind."""

import json
import subprocess
import sys

import pytest

from llm_icl.asking.cache import CallCache
from llm_icl.errors import RequestError
from tests.conftest import run_cli
from tests.inside import run_inside
from tests.reports.reading import table_of

WRONG = {
    "--task majorty": "unknown task 'majorty': did you mean 'majority'?",
    "--task majority --model smolm2": "did you mean 'smollm2-135m'?",
    "--task majority --learner nearest-neighbr": "did you mean 'nearest-neighbour'?",
    "--task majority --prompt bassic": "did you mean 'basic'?",
    "--task majority --n 0": "--n 0 is out of range",
    "--task majority --n many": "--n 'many' is not a whole number",
    "--task majority --n 100000": "n = 100000 is out of range",
    "--task sparse-parity --n 1": "requires n of at least 2, not 1",
    "--task majority --points 0": "--points 0 is out of range",
    "--task majority --points 10 --positions 10": "--positions 10 is out of range",
    "--task majority --problems 0": "--problems 0 is out of range",
    "--task majority:noise=2": "must be a probability",
    "--task majority:colour=red": "no option 'colour'",
    "--task majority:noise": "is not an option",
    "--task sparse-parity:k=no": "k",
    "--task dnf:teaching=1": "monotone-dnf",
    "--task majority --learner nearest-neighbour:k=0": "k = 0 is out of range",
    "--task majority --learner nearest-neighbour:tie=coin": "tie = coin is not one of earliest, latest, vote",
    "--task majority --learner elimination": "is not a conjunction or disjunction",
    "--task halfspace --learner bayes": "infinitely many",
    "--task majority --prompt pac": "algorithm",
    "--task majority --prompt basic:labels=1": "labels must be two different words ZERO/ONE",
    "--task majority --mode sideways": "'sideways' is not one of",
    "--n 3": "--task is missing",
    "--task expr": "'expr' requires a text",
    "--task majority --out .": "is not the name of a folder",
    "--task majority --seed 99999999999999999999": "out of range",
    "--task majority --problems 1000000000000": "at most 4,294,967,296",
    "--task majority --problems 4000000000": "exceed the limit",
    "--task nearest-neighbour:start=99999999999": "start = 99999999999 is out of range",
    "--task conjunction --n 700 --learner bayes": "infinitely many",
    "--task sparse-parity:k=50 --n 100 --learner bayes": "exact Bayes enumerates at most",
    "--task majority --learner logistic:c=nan": "c = nan is out of range",
    "--task monotone-dnf:teaching=1 --n 6 --points 9 --problems 100": "a teaching sequence takes",
    "--task majority --model smollm2-135m,SmolLM2-135M": "the same model is given twice",
    "--task majority --model none,smollm2-135m": "cannot be combined",
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.items(), ids=WRONG)
def test_a_wrong_request_is_one_clear_line(tmp_path, arguments, message):
    done = run_inside("eval", *arguments.split(), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("expr: (x1 & x2", "is not a formula at character"),
        ("expr: x1 & x9", "uses x9, but n = 5"),
        ("expr: x1 + x2", "Add is not one of"),
        ("expr: __import__('os')", "Call is not one of"),
        ("expr: " + "~" * 5000 + "x1", "a formula of 5002 characters is too long"),
        ("expr: " + "~" * 1500 + "x1", "nested too deeply"),
        ("expr: y1", "'y1' is not one of x1, x2"),
        ("table: 0110", "a truth table for n = 5 must be 32 characters"),
    ],
)
def test_a_wrong_formula_is_one_clear_line(tmp_path, task, message):
    done = run_inside("eval", "--task", task, "--model", "none", cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ("function-class: majority\nplanted: [\n", "mine.yaml, line 3: not valid YAML"),
        ("function-class: majority\nspeed: 3\n", "mine.yaml, line 2: unknown field 'speed'"),
        ("function-class: majrity\n", "mine.yaml, line 1: unknown function class 'majrity': did you mean 'majority'"),
        ("description: x\n", "mine.yaml, line 1: the field 'function-class' is missing"),
        ("function-class: majority\nnoise: loud\n", "mine.yaml, line 2: 'noise' must be a probability"),
        (
            "function-class: majority\nparameters: {relevnt: 1}\n",
            "mine.yaml, line 2: task 'mine' has no option 'relevnt'",
        ),
        ("function-class: majority\nparameters: {relevant: abc}\n", "mine.yaml, line 2: task 'mine': relevant must be"),
        ("function-class: majority\nparameters: {1: 2}\n", "mine.yaml, line 2: 'parameters' must be"),
        ("function-class: majority\nparameters: [{up-to: abc}]\n", "mine.yaml, line 2: 'up-to' must be a whole number"),
        ("description: 2024-13-45\n", "mine.yaml: not valid YAML"),
        ("function-class: majority\nnoise: 0\nnoise: 1\n", "mine.yaml, line 3: the field 'noise' appears twice"),
        ("function-class: majority\nparameters: {1: 2, true: 3}\n", "line 2: the field 'true' is the same as '1'"),
        (
            "function-class: majority\nparameters:\n  relevant: 3\n  relevant: 2\n",
            "mine.yaml, line 4: the field 'relevant' appears twice",
        ),
        (
            "function-class: majority\nparameters: {relevant: 010}\n",
            "mine.yaml, line 2: YAML reads 010 to another base",
        ),
        ("function-class: majority\nparameters: {relevant: 1:30}\n", "mine.yaml, line 2: YAML reads 1:30 to another"),
    ],
)
def test_a_broken_task_card_is_named_with_its_line(tmp_path, card, message):
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "mine.yaml").write_text(card)
    done = run_inside("eval", "--task", "mine", "--model", "none", cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_output_folder_that_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    done = run_inside(*"eval --model none --task majority --n 3 --out file/run".split(), cwd=tmp_path)
    assert done.returncode == 2
    assert "cannot be written" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_closed_stream_stops_nothing(tmp_path):
    program = "from llm_icl.cli.main import main; main()"
    asked = "eval --model none --task majority --n 3 --points 3 --problems 1 --out run".split()
    closed = ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-c", program, *asked]
    done = subprocess.run(closed, cwd=tmp_path, stdout=subprocess.PIPE, text=True, check=False, timeout=100)
    assert done.returncode == 0
    assert "report: run" in done.stdout


def test_a_disk_without_space_is_one_clear_line(tmp_path):
    """A real file system of 1 MiB, where the machine lets the test mount one."""
    small = tmp_path / "small"
    small.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(small)], capture_output=True, check=False
    )
    if mount.returncode:
        pytest.skip("mounting a file system is not allowed here")
    try:
        done = run_cli(*"eval --model none --task majority --n 3 --out small/outputs/run".split(), cwd=tmp_path)
        sample = run_cli(*"sample --task majority --n 20 --problems 10000 --to small/x.npz".split(), cwd=tmp_path)
    finally:
        subprocess.run(["umount", str(small)], check=True)
    assert (done.returncode, sample.returncode) == (2, 2)
    assert "disk space" in done.stderr
    assert "No space" in sample.stderr
    assert done.stderr.count("\n") == sample.stderr.count("\n") == 1


def test_a_damaged_cache_is_one_clear_error(tmp_path):
    (tmp_path / "calls.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(RequestError, match="cannot be used: file is not a database"):
        CallCache(tmp_path / "calls.sqlite")


def test_a_users_own_task_and_prompt_are_found_and_win(tmp_path):
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "majority.yaml").write_text("function-class: parity\ndescription: mine\n")
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "short.jinja").write_text("{{ query }} ->")
    assert "mine" in run_inside("list", "tasks", cwd=tmp_path).stdout
    shown = run_inside("show", "prompt", "short", "--n", "3", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert " ->\n" in shown.stdout


def test_cards_with_capitals_and_underscores_can_be_named(tmp_path):
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "My_Task.yaml").write_text("function-class: parity\n")
    assert run_inside("show", "task", "My_Task", cwd=tmp_path).returncode == 0
    assert run_inside("show", "task", "my-task", cwd=tmp_path).returncode == 0


def test_show_prints_what_a_model_would_get(tmp_path):
    shown = run_inside(*"show prompt basic --task conjunction --n 4 --position 2".split(), cwd=tmp_path).stdout
    assert shown.count("Input:") == 3 * 2  # two examples and the query, as text and as messages
    assert "You are BoolGPT" in shown


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("learner nearest_neighbor", "Options and defaults: k=1,metric=hamming,tie=earliest"),
        ("learner perceptron", "No options."),
        ("learner bayes", "limit: the maximum number of functions"),
        ("architecture gated-deltanet-negative", "Options and defaults: heads=4,gated=true,negative=true"),
        ("architecture hybrid", "(Dao & Gu 2024)"),
        ("architecture smollm2-135m", "Options and defaults: trainable=nothing,weights=pretrained"),
        ("model gpt-5.5", "Options: api (chat, responses, completions), effort"),
        ("model llama2-70b", "tensor-parallel"),
    ],
)
def test_show_says_what_may_follow_a_name(tmp_path, asked, said):
    assert said in run_inside("show", *asked.split(), cwd=tmp_path).stdout


@pytest.mark.parametrize("asked", ["learner percepton", "architecture mamb"])
def test_show_tells_the_nearest_name(tmp_path, asked):
    done = run_inside("show", *asked.split(), cwd=tmp_path)
    assert done.returncode == 2
    assert "did you mean" in done.stderr


def test_options_names_and_spellings_that_mean_the_same_are_the_same(tmp_path):
    base = "eval --model none --n 3 --points 8 --problems 4 --json".split()
    one = run_inside(*base, "--task", "majority", "--learner", "nearest-neighbour:k=3,tie=vote,averaging", cwd=tmp_path)
    two = run_inside(
        *base,
        "--task",
        "majority",
        "--learner",
        "nearest_neighbor:k=3,tie=vote",
        "--learner",
        "averaging",
        cwd=tmp_path,
    )
    assert one.returncode == two.returncode == 0, one.stderr + two.stderr
    assert json.loads(one.stdout) == json.loads(two.stdout)
    assert {r["learner"] for r in table_of(one.stdout, "scores")} == {"nearest-neighbour:k=3,tie=vote", "averaging"}


@pytest.mark.parametrize("target", ["out.npz", "out.jsonl", "out.parquet", "dataset"])
def test_sample_writes_the_same_problems_in_every_format(tmp_path, target):
    done = run_inside(
        *"sample --task conjunction:noise=0.1 --n 4 --points 6 --problems 5 --to".split(),
        target,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    from llm_icl.config.specs import parse_specs
    from llm_icl.problems import Problems
    from llm_icl.tasks.cards import load_task
    from llm_icl.tasks.drawing import draw_problems

    drawn = draw_problems(load_task(parse_specs(["conjunction:noise=0.1"])[0]), 4, 6, 5, 0)
    path = tmp_path / target
    if target.endswith("npz"):
        loaded = Problems.load(path)
        assert (loaded.xs == drawn.xs).all()
        assert (loaded.shown == drawn.shown).all()
        return
    if target.endswith("jsonl"):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
    elif target.endswith("parquet"):
        import polars as pl

        rows = pl.read_parquet(path).to_dicts()
    else:
        from datasets import load_dataset

        (rows,) = load_dataset(str(path), cache_dir=str(tmp_path / "cache")).values()
        rows = list(rows)
    assert [row["inputs"] for row in rows] == drawn.xs.tolist()
    assert [row["labels"] for row in rows] == drawn.ys.tolist()
    assert [row["shown_labels"] for row in rows] == drawn.shown.tolist()


@pytest.mark.parametrize(
    "arguments", [["--help"], ["list", "tasks"], ["list", "learners"], ["list", "models"], ["list", "prompts"]]
)
def test_help_and_list_import_nothing_heavy(tmp_path, arguments):
    heavy = ["torch", "transformers", "openai", "anthropic", "polars", "vl_convert", "scipy", "datasets"]
    script = (
        "import sys\nfrom llm_icl.cli.main import main\n"
        f"sys.argv = ['llm-icl', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code\n"
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert done.stdout


def test_an_unknown_command_gets_the_nearest_name(tmp_path):
    done = run_inside("evl", cwd=tmp_path)
    assert done.returncode == 2
    assert "did you mean 'eval'" in done.stderr


def test_a_dry_run_asks_nothing_and_writes_nothing(tmp_path):
    done = run_inside(*"eval --task majority --n 3,4 --problems 7 --dry-run".split(), cwd=tmp_path)
    assert done.returncode == 0
    assert "28 calls" in done.stdout
    assert list(tmp_path.iterdir()) == []

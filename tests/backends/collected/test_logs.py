"""Logs of other harnesses become runs: what was logged is what the run says, and a log that is not whole is refused.

The logs in the folder beside this file were written by inspect_ai 0.3.285 and lm-evaluation-harness 0.4.13, with
SmolLM2 135M; of the one in JSON, the events were left out. `make harnesses` writes and reads others.
"""

import contextlib
import json
import math
import random
import shutil
import tracemalloc
import zipfile
from pathlib import Path

import pytest

import llm_icl
from llm_icl.backends.base import ModelEntry
from llm_icl.backends.collected import CollectedAnswers
from llm_icl.backends.collected.files import read_answers
from llm_icl.errors import RequestError
from llm_icl.runs import RunDirectory
from llm_icl.tasks.options import QueryOptions
from llm_icl.tasks.queries import queries
from tests.inside import run_inside

LOGS = Path(__file__).parent / "logs"
ASKED = {"task": "majority", "n": 3, "points": 3, "problems": 2, "positions": "0,2"}
NAMES = ("boolean.eval", "boolean.json", "samples_llm_icl_majority_n3.jsonl")


def imported(folder, log, out="out"):
    done = run_inside("import", str(log), "--learner", "averaging", "--out", out, cwd=folder)
    return done, RunDirectory(folder / out)


def answers_of(run):
    return run.predictions().filter(prompt="basic").sort("problem", "position")


def logged():
    """The samples of the log in JSON."""
    return json.loads((LOGS / "boolean.json").read_text())


def archived(log, path):
    """The archive with these contents, without compression."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("_journal/start.json", json.dumps({"version": 2, "eval": log["eval"]}))
        for i, sample in enumerate(log["samples"]):
            archive.writestr(f"samples/{i}_epoch_1.json", json.dumps(sample))
        archive.writestr("header.json", json.dumps({key: log[key] for key in ("version", "status", "eval", "plan")}))
    return path


@pytest.mark.parametrize("name", NAMES)
def test_a_log_holds_the_prompts_that_are_drawn_here(name):
    (asked,) = queries(QueryOptions.of(ASKED))
    rows = {row["id"]: row for row in read_answers(LOGS / name)}
    for row, _ in asked.rendered():
        assert {key: rows[row["id"]][key] for key in row} == row
    assert len(rows) == len(asked) == 4


@pytest.mark.embedded
def test_logs_give_the_answers_of_asking_directly_and_stand_in_one_report(tmp_path):
    def run(name, model):
        return llm_icl.evaluate(out=tmp_path / name, model=model, learner="averaging", shuffled_labels=False, **ASKED)

    runs = [run(name, f"answers/{LOGS / name}") for name in NAMES]
    expected = run("direct", "smollm2-135m").predictions.filter(prompt="basic").sort("problem", "position")
    for one in runs:
        found = one.predictions.filter(prompt="basic").sort("problem", "position")
        for column in ("problem", "position", "label", "prediction", "status"):
            assert found[column].to_list() == expected[column].to_list()
        assert found["probability"].to_list() == pytest.approx(expected["probability"].to_list(), abs=1e-4)
    done = run_inside("report", "direct", *NAMES, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in ("smollm2-135m", *NAMES))


def test_an_archive_without_zstandard_is_read_too(tmp_path):
    assert read_answers(archived(logged(), tmp_path / "plain.eval")) == read_answers(LOGS / "boolean.eval")


# Equal prompts, here those without examples, have one answer.
def test_what_was_logged_is_what_the_run_says(tmp_path):
    log = logged()
    for sample, (zero, one) in zip(log["samples"], [(0.1, 0.2), (0.004, 0.005), (0.1, 0.2), (0.3, 0.3)], strict=True):
        label = "1" if one > zero else "0"
        metadata = {
            "reply": "" if zero + one < 0.01 else label,
            "log_probabilities": {"0": math.log(zero), "1": math.log(one)},
        }
        sample["scores"]["label"]["metadata"] = metadata
    done, run = imported(tmp_path, archived(log, tmp_path / "changed.eval"))
    assert done.returncode == 0, done.stderr
    found = answers_of(run)
    assert found["status"].to_list() == ["ok", "unparseable", "ok", "ok"]
    assert found.filter(status="ok")["prediction"].to_list() == [1, 1, 0]
    assert found.filter(status="ok")["probability"].to_list() == pytest.approx([2 / 3, 2 / 3, 0.5])


def test_log_likelihoods_of_labels_that_would_hardly_be_written_are_no_answer(tmp_path):
    lines = [json.loads(line) for line in (LOGS / NAMES[2]).read_text().splitlines()]
    lines[0]["resps"] = [[["-7.0", "False"]], [["-6.0", "False"]]]
    lines[1]["resps"] = [[["-2.0", "False"]], [["-1.0", "True"]]]
    path = tmp_path / "samples_x.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    replies = {row["id"]: row["reply"] for row in read_answers(path)}
    assert [replies[line["doc"]["id"]] for line in lines[:2]] == ["", "1"]


def _unfinished(log):
    log["status"] = "cancelled"


def _few(log):
    del log["samples"][-1]


def _foreign(log):
    log["samples"][0]["metadata"] = {"subject": "history"}


def _unscored(log):
    log["samples"][0]["scores"] = {"match": {"value": "C"}}


def _limited(log):
    """What `--limit 1` writes where there is one problem: nothing but the size of the task tells."""
    log["eval"]["dataset"]["samples"], log["eval"]["config"]["limit"] = 2, 1
    for sample in log["samples"]:
        sample["metadata"]["problems"] = 1
    del log["samples"][1:]


def _other_solver(log):
    log["plan"]["steps"].insert(0, {"solver": "chain_of_thought", "params": {}})


def _system_message(log):
    log["plan"]["config"]["system_message"] = "Always answer 1."


def _repeated(log):
    log["samples"][0]["epoch"] = 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_unfinished, "did not finish (status 'cancelled')"),
        (_few, "is not whole: it holds 3 of 4 prompts"),
        (_foreign, "is not a log of the task llm_icl/boolean"),
        (_unscored, "is not a log of the task llm_icl/boolean with its scores"),
        (_limited, "is not whole: it holds 1 of 2 prompts: leave out --limit and --sample-id"),
        (_other_solver, "asked was another prompt than the task's"),
        (_system_message, "asked was another prompt than the task's"),
        (_repeated, "has several epochs"),
        (lambda log: log["samples"][0]["metadata"].pop("problems"), "is not a log of this package's tasks"),
        (lambda log: log["samples"][1].update(metadata="labels"), "is not a log of the task llm_icl/boolean"),
        (lambda log: log.update(samples=[1, None, 2, 3]), "is not a log of"),
        (lambda log: log["samples"].clear(), "is not whole: it holds 0 of 4 prompts"),
    ],
)
@pytest.mark.parametrize("ending", ["json", "eval"])
def test_a_log_of_inspect_that_cannot_be_used_is_refused(tmp_path, change, said, ending):
    log, path = logged(), tmp_path / f"log.{ending}"
    change(log)
    path.write_text(json.dumps(log)) if ending == "json" else archived(log, path)
    with pytest.raises(RequestError) as problem:
        read_answers(path)
    assert said in str(problem.value)
    assert path.name in str(problem.value)


def _cut(share):
    return lambda path: path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def _without_header(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("_journal/start.json", "{}")


def _other_archive(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "text")


def _damaged(path):
    data = bytearray(path.read_bytes())
    data[2000:2040] = bytes(40)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("boolean.eval", _cut(0.5), "is not a whole log of inspect_ai"),
        ("boolean.eval", _cut(0), "is not a whole log of inspect_ai"),
        ("boolean.eval", _damaged, "is not a whole log of inspect_ai"),
        ("boolean.eval", _without_header, "did not finish"),
        ("boolean.eval", _other_archive, "is not a log of inspect_ai"),
        ("boolean.json", _cut(0.9), "is not a whole log of inspect_ai"),
        ("boolean.json", lambda path: path.write_text("[1]"), "is not a whole log of inspect_ai"),
        ("boolean.json", lambda path: path.write_text('{"results": {}}'), "is not a whole log of inspect_ai"),
        (NAMES[2], _cut(0.9), "line 4 is not a JSON object"),
    ],
)
def test_a_file_that_is_cut_or_foreign_is_refused_in_a_line(tmp_path, name, change, said):
    path = Path(shutil.copy(LOGS / name, tmp_path))
    change(path)
    done, _ = imported(tmp_path, name)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert name in done.stderr


def _another_prompt(line):
    line["arguments"]["gen_args_1"]["arg_0"] = "<user>" + line["arguments"]["gen_args_1"]["arg_0"]


def _no_numbers(line):
    line["resps"] = [["-1"], ["-2"]]


def _not_finite(line):
    line["resps"][0][0][0] = "nan"


def _other_task(line):
    line["doc"] = {"question": "?"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_another_prompt, "row 2: asked was another prompt"),
        (_no_numbers, "row 2: no log-likelihoods of two choices"),
        (_not_finite, "row 2: nan and"),
        (_other_task, "row 2: not a sample of a task of 'llm-icl export-tasks'"),
        (lambda line: line.clear(), "row 2: not a sample of a task"),
    ],
)
def test_a_log_of_lm_eval_that_cannot_be_used_is_refused(tmp_path, change, said):
    lines = [json.loads(line) for line in (LOGS / NAMES[2]).read_text().splitlines()]
    change(lines[1])
    path = tmp_path / "samples_x.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(RequestError) as problem:
        read_answers(path)
    assert said in str(problem.value)


def test_a_limited_log_of_lm_eval_is_not_whole_and_a_folder_has_one_log(tmp_path):
    lines = (LOGS / NAMES[2]).read_text().splitlines(keepends=True)
    (tmp_path / "out" / "model").mkdir(parents=True)
    first = tmp_path / "out" / "model" / "samples_a.jsonl"
    first.write_text("".join(lines[:3]))
    with pytest.raises(RequestError, match="is not whole: it holds 3 of 4 prompts"):
        read_answers(tmp_path / "out")
    sample = json.loads(lines[0])  # one problem, of which one of two positions was asked
    sample["doc"] |= {"problems": 1, "prompts": 2}
    first.write_text(json.dumps(sample) + "\n")
    with pytest.raises(RequestError, match="is not whole: it holds 1 of 2 prompts"):
        read_answers(tmp_path / "out")
    first.write_text("".join(lines))
    assert len(read_answers(tmp_path / "out")) == 4
    shutil.copy(first, first.with_name("samples_b.jsonl"))
    with pytest.raises(RequestError, match="holds 2 logs: import each on its own"):
        read_answers(tmp_path / "out")


def test_damaged_bytes_are_read_as_they_were_or_refused(tmp_path):
    """An archive has checksums: no damage changes an answer."""
    whole, chance = (LOGS / "boolean.eval").read_bytes(), random.Random(0)
    expected, path, refused = read_answers(LOGS / "boolean.eval"), tmp_path / "log.eval", 0
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(chance.choice([1, 3, 20])):
            data[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(data[: chance.choice([None, chance.randrange(len(data))])])
        try:
            assert read_answers(path) == expected
        except RequestError:
            refused += 1
    assert refused > 100


def test_odd_values_in_a_log_are_refused_in_a_line(tmp_path):
    lines, chance = (LOGS / NAMES[2]).read_text().splitlines(), random.Random(0)
    for _ in range(150):
        log, samples = logged(), [json.loads(line) for line in lines]
        for part in (log, samples):
            holder, key = chance.choice(list(_places(part)))
            holder[key] = chance.choice([None, 1, -1, "x", "", [], {}, [[1]], {"a": 1}, True, "nan", 2**70])
        (tmp_path / "log.json").write_text(json.dumps(log))
        (tmp_path / "samples_x.jsonl").write_text("".join(json.dumps(sample) + "\n" for sample in samples))
        for name in ("log.json", "samples_x.jsonl"):
            with contextlib.suppress(RequestError):
                CollectedAnswers(ModelEntry("odd", "answers", str(tmp_path / name)))


def _places(value):
    """Every member of nested data, with what holds it."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in list(members):
        yield value, key
        yield from _places(member)


def test_an_archive_is_read_to_the_size_that_it_states_and_only_in_known_compressions(tmp_path):
    log = logged()
    for kind in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(tmp_path / "boolean.eval", "w", kind) as archive:
            archive.writestr("header.json", json.dumps({key: log[key] for key in ("version", "status", "eval")}))
        with pytest.raises(RequestError):
            read_answers(tmp_path / "boolean.eval")
    packed = tmp_path / "packed.eval"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", json.dumps(log["eval"]) + " " * 2**26)
    content = packed.read_bytes()
    size = len(json.dumps(log["eval"])) + 2**26
    small = content.replace(size.to_bytes(4, "little"), (100).to_bytes(4, "little"))
    assert small != content
    packed.write_bytes(small)
    tracemalloc.start()
    with pytest.raises(RequestError):
        read_answers(packed)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


@pytest.mark.parametrize("kind", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_damaged_archives_are_read_or_refused(tmp_path, kind):
    log, rng = logged(), random.Random(0)
    whole = tmp_path / "whole.eval"
    with zipfile.ZipFile(whole, "w", kind) as archive:
        archive.writestr("_journal/start.json", json.dumps({"version": 2, "eval": log["eval"]}))
        archive.writestr("header.json", json.dumps({key: log[key] for key in ("version", "status", "eval", "plan")}))
        for i, sample in enumerate(log["samples"]):
            archive.writestr(f"samples/{i}_epoch_1.json", json.dumps(sample))
    content = whole.read_bytes()
    for _ in range(150):
        place = rng.randrange(len(content))
        (tmp_path / "cut.eval").write_bytes(content[:place] + bytes([rng.randrange(256)]) + content[place + 1 :])
        with contextlib.suppress(RequestError):
            read_answers(tmp_path / "cut.eval")


def test_two_logs_in_one_file_are_refused(tmp_path):
    content = (LOGS / NAMES[2]).read_text()
    (tmp_path / "samples_twice.jsonl").write_text(content + content)
    with pytest.raises(RequestError, match="8 answers to 4 prompts: a run has one to each"):
        read_answers(tmp_path / "samples_twice.jsonl")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"position": ""}, "a 'position' is not a whole number"),
        ({"position": "all"}, "a 'position' is not a whole number"),
        ({"log_probabilities": {"0": 10**400}}, "are not numbers by token"),
    ],
)
def test_rows_with_absurd_values_are_refused_in_a_line(tmp_path, change, said):
    size = "--task majority --n 3 --points 3 --problems 2 --prompts --to rows.jsonl"
    done = run_inside("sample", *size.split(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row | {"answer": 1} | change) + "\n" for row in rows))
    done, _ = imported(tmp_path, "rows.jsonl")
    assert done.returncode == 2, done.stderr
    assert said in done.stderr.splitlines()[-1]


def test_a_path_that_reads_as_options_is_refused_with_the_reason(tmp_path):
    shutil.copy(LOGS / NAMES[2], tmp_path / "a,b.jsonl")
    done, _ = imported(tmp_path, "a,b.jsonl")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "a path with a comma" in done.stderr

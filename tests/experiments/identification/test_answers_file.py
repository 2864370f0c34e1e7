"""Answers that were collected elsewhere: what is sampled, filled in and brought back."""

import json

import numpy as np
import polars as pl
import pytest

from llm_icl.config.specs import Spec
from llm_icl.errors import RequestError
from llm_icl.experiments.identification.answers_file import AnswersFile, collected
from llm_icl.experiments.identification.browsing import problems_panel
from llm_icl.experiments.identification.findings import read_findings
from llm_icl.experiments.identification.gathering import gather
from llm_icl.experiments.identification.report import report_of
from llm_icl.prompting import load_prompt
from llm_icl.runs import RunDirectory
from tests.inside import run_inside
from tests.reports.reading import table_of
from tests.servers.provider import Provider

CANDIDATES = "nearest-neighbour,averaging,majority-label,last-label,bayes-labels"
PROBES = ["--task", "probe:conjunction", "--n", "4", "--problems", "24", "--examples", "5,8", "--queries", "4"]


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("probes")
    done = run_inside("sample", *PROBES, "--candidate", CANDIDATES, "--to", "probes.jsonl", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "192 probes behind 48 contexts: probes.jsonl\n"
    return [json.loads(line) for line in (folder / "probes.jsonl").read_text().splitlines()]


def filled(rows, name="averaging", key="answer"):
    return [row | {key: int(row["candidates"][name] > 0.5) if key == "answer" else row["candidates"][name]}
            for row in rows]  # fmt: skip


def written(rows, path):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def names(folder):
    return {one.subject: one.identification.names for cell in read_findings(folder) for one in cell.found}


def test_a_probe_can_be_asked_anywhere(sampled):
    for row in sampled[:40]:
        assert len(row["inputs"]) == len(row["labels"]) == row["examples"]
        asked = "".join(f"Input: {' '.join(map(str, x))}\nLabel: {y}\n" for x, y in zip(row["inputs"], row["labels"],
                                                                                        strict=True))  # fmt: skip
        assert row["prompt"].endswith(f"{asked}Input: {' '.join(map(str, row['query']))}\nLabel:")
        nearest = np.abs(np.array(row["inputs"]) - row["query"]).sum(axis=1).argmin()
        assert row["candidates"]["nearest-neighbour"] == row["labels"][nearest]
        assert row["candidates"]["last-label"] == row["labels"][-1]


@pytest.mark.parametrize("prompt", ["basic", "chat-turns"])
def test_the_prompt_of_a_probe_is_what_identify_asks(tmp_path, prompt):
    """What a server received, and a text's introduction or the turns, is what the file has."""
    few = ["--n", "4", "--examples", "5", "--queries", "2", "--prompt", prompt, "--candidate", CANDIDATES]
    sampled = ["sample", "--task", "probe:conjunction", "--problems", "10", *few, "--to", "probes.parquet"]
    asked = ["identify", "--task", "conjunction", "--contexts", "10", *few, "--model", "claude-sonnet-5.5"]
    server = Provider()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANTHROPIC_BASE_URL", server.url)
        patch.setenv("ANTHROPIC_API_KEY", "sk-ant-none")
        try:
            for command in (sampled, asked):
                done = run_inside(*command, cwd=tmp_path)
                assert done.returncode in (0, 1), done.stderr
        finally:
            server.die()
    rows = pl.read_parquet(tmp_path / "probes.parquet").to_dicts()
    bodies = [one.body for one in server.received if one.path.endswith("/messages")]
    if prompt == "basic":
        assert all(row["messages"] is None for row in rows)
        told = {row["prompt"] for row in rows}
        # a text model gets the introduction in place of a chat's system message
        introduction = load_prompt(Spec("basic")).preamble
        assert introduction
        received = {introduction + body["messages"][-1]["content"] for body in bodies}
    else:
        assert all(row["prompt"] is None and row["messages"][0]["role"] == "system" for row in rows)
        told = {json.dumps([*row["messages"]]) for row in rows}
        received = {json.dumps([{"role": "system", "content": body["system"]}, *body["messages"]]) for body in bodies}
    assert len(told) == 20
    assert told == received


@pytest.mark.parametrize("form", ["jsonl", "parquet", "dataset"])
def test_answers_of_several_models_in_every_format(sampled, tmp_path, form):
    rows = [row | {"model": "one"} for row in filled(sampled)]
    rows += [row | {"model": "two"} for row in filled(sampled, "bayes-labels", "probability")]
    path = tmp_path / ("mine" if form == "dataset" else f"mine.{form}")
    if form == "jsonl":
        written(rows, path)
    elif form == "parquet":
        pl.DataFrame(rows, infer_schema_length=None).write_parquet(path)
    else:
        from datasets import Dataset

        Dataset.from_list(rows).save_to_disk(str(path))
    done = run_inside("identify", "--answers", path.name, "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert names(tmp_path / "run") == {"one": ("averaging",), "two": ("bayes-labels",)}


def test_a_missing_answer_is_missing_and_a_missing_row_too(sampled, tmp_path):
    rows = filled(sampled)
    rows[0]["answer"] = None
    file = AnswersFile.read(written([row for i, row in enumerate(rows) if i != 5], tmp_path / "some.jsonl"))
    ((setting, some),) = file.settings
    answered = collected(file, setting, some, ()).answered["some"]
    assert np.argwhere(np.isnan(answered.answers)).tolist() == [[0, 0, 0], [0, 1, 1]]


def test_repeated_answers_tell_how_well_answers_repeat(sampled, tmp_path):
    rows = filled(sampled)
    other = [row | {"answer": 1 - row["answer"]} for row in rows[::4]]  # one query of each context, asked twice
    file = AnswersFile.read(written(rows + other, tmp_path / "twice.jsonl"))
    ((setting, some),) = file.settings
    answered = collected(file, setting, some, ()).answered["twice"]
    assert answered.repeats.agreement.tolist() == [0.0, 0.0]
    same = AnswersFile.read(written(rows + rows, tmp_path / "same.jsonl"))
    answered = collected(same, setting, same.settings[0][1], ()).answered["same"]
    assert answered.repeats.agreement.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("key", ["answer", "probability"])
def test_which_of_the_answers_to_a_question_stands_first_does_not_matter(sampled, tmp_path, key):
    rows = [row | {"answer": None} for row in sampled]
    again = [row | {key: 0 if key == "answer" else 0.25} for row in rows]
    first = [row | {key: 1 if key == "answer" else 0.75} for row in rows]
    found = []
    for some in (first + again, again + first):
        file = AnswersFile.read(written(some, tmp_path / "both.jsonl"))
        found.append(collected(file, *file.settings[0], ()).answered["both"].answers)
    np.testing.assert_array_equal(*found)
    assert abs(found[0].mean() - 0.5) < (0.1 if key == "answer" else 1e-12)  # 2.8 deviations of 192 coins


def test_a_few_repeated_questions_do_not_tell_how_well_answers_repeat(sampled, tmp_path):
    rows = filled(sampled)
    file = AnswersFile.read(written([*rows, rows[0], rows[-1]], tmp_path / "few.jsonl"))
    assert collected(file, *file.settings[0], ()).answered["few"].repeats.agreement is None


@pytest.mark.parametrize("write", [float, bool, str, lambda label: f" {float(label)} "])
def test_labels_as_programs_write_them(sampled, tmp_path, write):
    rows = filled(sampled)
    expected = [row["answer"] for row in rows]
    file = AnswersFile.read(written([row | {"answer": write(row["answer"])} for row in rows], tmp_path / "a.jsonl"))
    assert collected(file, *file.settings[0], ()).answered["a"].answers.ravel().tolist() == expected


def test_among_labels_a_probability_of_one_half_is_none(sampled, tmp_path):
    rows = [row | {"probability": 0.5} for row in sampled]
    rows[7] |= {"probability": None, "answer": 1}
    rows[8]["probability"] = 0.7
    file = AnswersFile.read(written(rows, tmp_path / "half.jsonl"))
    answers = collected(file, *file.settings[0], ()).answered["half"].answers.ravel()
    assert answers[7:9].tolist() == [1.0, 1.0]
    assert np.isnan(np.delete(answers, [7, 8])).all()


def test_a_model_may_be_a_number(sampled, tmp_path):
    rows = [row | {"model": model} for model in (0, 1) for row in filled(sampled)]
    file = AnswersFile.read(written(rows, tmp_path / "numbered.jsonl"))
    assert set(collected(file, *file.settings[0], ()).answered) == {"0", "1"}


def test_one_candidate_is_compared_with_nothing(sampled, tmp_path):
    file = AnswersFile.read(written(filled(sampled), tmp_path / "one.jsonl"))
    with pytest.raises(RequestError, match="one candidate is not enough"):
        collected(file, *file.settings[0], ("nearest-neighbour",))


def test_a_dry_run_says_what_answers_can_tell_apart(sampled, tmp_path):
    written(filled(sampled), tmp_path / "mine.jsonl")
    done = run_inside("identify", "--answers", "mine.jsonl", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "conjunction n=4 seed=0, answers of mine: 24 contexts\n  contexts needed to tell" in done.stdout


def test_what_a_file_has_decided_cannot_be_chosen(sampled, tmp_path):
    written(filled(sampled), tmp_path / "mine.jsonl")
    done = run_inside("identify", "--answers", "mine.jsonl", "--n", "7", "--repeats", "3", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "llm-icl: --answers brings its own questions: --n and --repeats cannot be chosen\n"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": ["conjunction"]}, "row 3: 'task' is not the name of a task"),
        ({"task": "conjunction,majority"}, "row 3: 'task' is not the name of a task"),
        ({"seed": 10**30}, "row 3: 'seed' is too large"),
        ({"problem": 10**30}, "row 3: 'problem' is too large"),
        ({"candidates": 5}, "row 3: 'candidates' does not map names to probabilities: 5"),
        ({"candidates": {"averaging": "1"}}, "row 3: 'candidates' does not map names to probabilities"),
        ({"answer": 2}, "row 3: 'answer' is not 0 or 1: 2"),
        ({"answer": 0, "probability": 0.9}, "row 3: 'answer' is 0, but 'probability', that of 1, is 0.9"),
        ({"probability": 1.5}, "row 3: 'probability' is not a number from 0 to 1"),
        ({"query": [0, 1]}, "row 3: 'inputs', 'labels' and 'query' are not 5 inputs of 4 bits"),
        ({"inputs": [[0, 1, 2, 0]] * 5}, "row 3: 'inputs', 'labels' and 'query' are not"),
        ({"examples": "5"}, "row 3: 'examples' is not a whole number"),
        ({"labels": None}, "row 3: 'labels' is missing"),
        ({"task": "no-such-task"}, "unknown task 'no-such-task'"),
        ({"labels": [1, 0, 1, 0, 1]}, "several contexts"),
    ],
)
def test_rows_that_cannot_be_used_are_refused_with_their_number(sampled, tmp_path, change, message):
    rows = filled(sampled)
    rows[2] = rows[2] | change
    done = run_inside("identify", "--answers", written(rows, tmp_path / "bad.jsonl"), "--out", "run", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert message in done.stderr


@pytest.mark.parametrize("changed", ["query", "candidates"])
def test_a_row_whose_query_is_not_that_of_its_prompt_is_refused(sampled, tmp_path, changed):
    """What candidates answer to the one is not what they answer to the other. Without them nothing tells."""
    rows = filled(sampled)
    place = next(i for i, row in enumerate(rows) if len(set(row["labels"])) == 2)
    one = rows[place]
    nearest = one["candidates"]["nearest-neighbour"]
    other = next(x for x, y in zip(one["inputs"], one["labels"], strict=True) if y != nearest)
    rows[place] = one | (
        {"query": other} if changed == "query" else {"candidates": one["candidates"] | {"averaging": 0.4}}
    )
    done = run_inside("identify", "--answers", written(rows, tmp_path / "bad.jsonl"), "--out", "run", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert f"problem {one['problem']}, {one['examples']} examples, probe {one['probe']}: " in done.stderr
    assert "as the row says: was its query changed?" in done.stderr
    bare = [{key: value for key, value in row.items() if key != "candidates"} for row in rows]
    done = run_inside("identify", "--answers", written(bare, tmp_path / "bare.jsonl"), "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_candidates_that_do_not_apply_to_a_row_are_gaps_in_a_table(sampled, tmp_path):
    rows = [row | {"candidates": row["candidates"] | {"gaussian-elimination": None}} for row in filled(sampled)]
    done = run_inside("identify", "--answers", written(rows, tmp_path / "mine.jsonl"), "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_file_without_answers_or_of_another_kind_is_refused(sampled, tmp_path):
    with pytest.raises(RequestError, match="has no answers: fill in"):
        AnswersFile.read(written(sampled, tmp_path / "empty.jsonl"))
    (tmp_path / "words.jsonl").write_text("hello\n")
    with pytest.raises(RequestError, match="line 1 is not a JSON object"):
        AnswersFile.read(tmp_path / "words.jsonl")
    with pytest.raises(RequestError, match="line 1 is not a JSON object"):
        AnswersFile.read(written([[1]], tmp_path / "list.jsonl"))
    twice = json.dumps(sampled[0] | {"probability": 0.9})[:-1] + ', "probability": 0.5}'
    (tmp_path / "twice.jsonl").write_text(twice)
    with pytest.raises(RequestError, match="line 1: 'probability' appears twice"):
        AnswersFile.read(tmp_path / "twice.jsonl")
    with pytest.raises(RequestError, match="'probability' is not a number from 0 to 1: True"):
        AnswersFile.read(written([sampled[0] | {"probability": True}], tmp_path / "true.jsonl"))
    both = run_inside("identify", "--answers", "empty.jsonl", "--task", "majority", cwd=tmp_path)
    assert both.returncode == 2
    assert "--answers brings its own tasks" in both.stderr


def test_options_of_probes_are_refused_for_problems(tmp_path):
    done = run_inside("sample", "--task", "majority", "--queries", "3", "--to", "x.jsonl", cwd=tmp_path)
    assert done.returncode == 2
    assert "--queries" in done.stderr
    done = run_inside("sample", *PROBES, "--to", "x.npz", cwd=tmp_path)
    assert done.returncode == 2
    assert "must end in .jsonl or .parquet" in done.stderr


def test_one_name_in_two_files_is_two_subjects_of_which_the_page_shows_every_answer(sampled, tmp_path):
    followed = {"first": "averaging", "second": "bayes-labels"}
    for file, name in followed.items():
        written([row | {"model": "mine"} for row in filled(sampled, name)], tmp_path / f"{file}.jsonl")
    both = ["--answers", "first.jsonl", "--answers", "second.jsonl"]
    done = run_inside("identify", *both, "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert names(tmp_path / "run") == {f"mine [{file}]": (name,) for file, name in followed.items()}
    panel = problems_panel(gather([RunDirectory(tmp_path / "run")]))
    codes = iter(np.frombuffer(panel.columns["answers"], np.uint8))
    shown = []
    for cell in panel.index["cells"]:
        given = {name: [int(next(codes)) - 1 for _ in cell["ids"]] for name in cell["learners"]}
        ((subject, answers),) = [(name, some) for name, some in given.items() if name.startswith("mine")]
        file = subject.removeprefix("mine [").removesuffix("]")
        assert cell["title"] == f"conjunction, n = 4, answers of {file}"
        rows = [row for row in sampled if row["examples"] == cell["positions"][0]]
        assert answers == [row["answer"] for row in filled(rows, followed[file])]
        shown.append((file, *cell["positions"]))
    assert shown == [(file, examples) for file in followed for examples in (5, 8)]


def test_one_subject_with_different_answers_in_two_runs_has_their_names(sampled, tmp_path):
    for run, name in (("first", "averaging"), ("second", "bayes-labels"), ("third", "bayes-labels")):
        (tmp_path / run).mkdir()
        written(filled(sampled, name), tmp_path / run / "mine.jsonl")
        done = run_inside("identify", "--answers", f"{run}/mine.jsonl", "--out", f"runs/{run}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    runs = {run: RunDirectory(tmp_path / "runs" / run) for run in ("first", "second", "third")}
    same = gather([runs["second"], runs["third"]])
    assert [list(each.called.values()) for each in same] == [["mine"], ["mine"]]
    both = report_of([runs["first"], runs["second"]])
    assert [card.of for card in both.cards] == ["mine [first]", "mine [second]"]
    for card, name in zip(both.cards, ("averaging", "bayes-labels"), strict=True):
        assert f"those of {name}, up to noise" in card.findings["Algorithm"].text


def test_the_weights_table_says_which_constant_a_subject_falls_back_to(sampled, tmp_path):
    """A subject that follows averaging on six of ten queries, and says 0 to the others."""
    random = np.random.default_rng(1)
    rows = [row | {"answer": row["answer"] if random.random() < 0.6 else 0} for row in filled(sampled)]
    written(rows, tmp_path / "falls.jsonl")
    assert run_inside("identify", "--answers", "falls.jsonl", "--out", "run", cwd=tmp_path).returncode == 0
    table = table_of(run_inside("report", "run", "--json", cwd=tmp_path).stdout, "weights")
    zeros, ones = ([row["weight"]["value"] for row in table if row["component"] == f"always {label}"]
                   for label in (0, 1))  # fmt: skip
    assert len(zeros) == len(ones) > 0
    assert min(zeros) > 0.25
    assert max(ones) < 0.05

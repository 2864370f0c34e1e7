"""Subjects whose algorithm is known, through the command: networks' and models' places are taken by known machines."""

import json
import re
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

import llm_icl
from llm_icl.experiments.identification import run as identification_run
from llm_icl.experiments.identification.findings import read_findings
from llm_icl.learners.averaging import Averaging
from tests.inside import run_inside
from tests.servers import provider as servers
from tests.servers.provider import Provider

FEW = "--candidate nearest-neighbour,nearest-neighbour:k=3,averaging,majority-label,bayes-labels".split()
SMALL = [*"--task majority --n 4 --examples 5,9 --contexts 30 --queries 4".split(), *FEW]


def found_in(folder):
    return {one.subject: one for cell in read_findings(folder) for one in cell.found}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("identify")
    subjects = "nearest-neighbour,averaging,bayes-labels"
    done = run_inside("identify", "--learner", subjects, *SMALL, "--out", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "run", done


def test_known_machines_are_named_in_the_report(run):
    folder, done = run
    for name in ("nearest-neighbour", "averaging", "bayes-labels"):
        said = rf"Its answers are those of {name}, up to noise \((at least )?(9\d(\.\d)?|100) %"
        assert re.search(rf"^{name} on majority, n = 4\n  Algorithm \(clear\): {said}", done.stdout, re.MULTILINE)
    assert {name: one.identification.names for name, one in found_in(folder).items()} == {
        name: (name,) for name in ("nearest-neighbour", "averaging", "bayes-labels")
    }
    page = (folder / "report.html").read_text()
    assert "Problems needed to tell candidates apart" in page
    assert "Share explained by each candidate alone" in page


def test_the_answers_and_the_probes_are_kept(run):
    folder, _ = run
    rows = pl.read_parquet(folder / "predictions.parquet")
    assert len(rows) == 3 * 2 * 30 * 4
    (file,) = (folder / "probes").iterdir()
    probes = pl.read_parquet(file)
    nearest = rows.filter(pl.col("learner") == "nearest-neighbour")
    # The candidate's answers beside each probe are those of the learner that was the subject.
    assert probes["candidates"].struct.field("nearest-neighbour").to_list() == nearest["prediction"].to_list()


def test_findings_are_read_as_they_were_written(run, tmp_path):
    from llm_icl.experiments.identification.findings import write_findings

    cells = read_findings(run[0])
    write_findings(tmp_path, cells)
    assert (tmp_path / "findings.json").read_text() == (run[0] / "findings.json").read_text()
    assert cells[0].examples == (5, 9)
    assert cells[0].identifiability.needed[0][0] == float("inf")


def test_a_finished_run_is_kept_and_runs_on_the_same_probes_stand_side_by_side(run):
    folder, _ = run
    before = (folder / "findings.json").stat().st_mtime_ns
    again = run_inside("identify", "--learner", "nearest-neighbour,averaging,bayes-labels", *SMALL, "--out", "run",
                       cwd=folder.parent)  # fmt: skip
    assert again.returncode == 0
    assert (folder / "findings.json").stat().st_mtime_ns == before
    other = run_inside("identify", "--learner", "majority-label", *SMALL, "--out", "other", cwd=folder.parent)
    assert other.returncode == 0, other.stderr
    both = run_inside("report", "run", "other", "--out", "both", "--json", cwd=folder.parent)
    section, answers = json.loads(both.stdout)["sections"]
    assert answers["heading"] == "Problems, prompts and replies"
    assert [row["subject"] for row in section["tables"]["verdicts"]] == [
        "nearest-neighbour", "averaging", "bayes-labels", "majority-label",
    ]  # fmt: skip


def report_with(folder, options, name):
    """The report of a run and of another one, of majority-label with these options."""
    other = run_inside("identify", "--learner", "majority-label", *options, "--out", name, cwd=folder.parent)
    assert other.returncode == 0, other.stderr
    both = run_inside("report", folder.name, name, "--out", f"with-{name}", "--json", cwd=folder.parent)
    return json.loads(both.stdout)


def test_verdicts_of_several_cells_stand_together_at_the_top(run):
    folder, _ = run
    report = report_with(folder, ["5" if option == "4" else option for option in SMALL], "five")  # n
    overview, *cells, _ = report["sections"]
    four, five = overview["tables"]["overview"]
    assert (four["cell"], five["cell"]) == ("majority, n = 4", "majority, n = 5")
    assert four["verdict, averaging"] == "one algorithm (averaging)"
    assert five.get("verdict, averaging") is None
    assert five["verdict, majority-label"] == cells[1]["tables"]["verdicts"][0]["verdict"]
    assert four["explained, averaging"] == cells[0]["tables"]["verdicts"][1]["explained"]
    assert [card["of"] for card in report["cards"]] == [*found_in(folder), "majority-label"]
    assert [said.partition(":")[0] for said in cells[0]["verdicts"]] == list(found_in(folder))


def test_two_designs_of_one_cell_are_told_apart_and_opened_each(run):
    folder, _ = run
    report = report_with(folder, ["20" if option == "30" else option for option in SMALL], "fewer")  # contexts
    overview, *cells, _ = report["sections"]
    titles = ["majority, n = 4, design 1", "majority, n = 4, design 2"]
    assert [cell["heading"] for cell in cells] == [row["cell"] for row in overview["tables"]["overview"]] == titles
    page = (folder.parent / "with-fewer" / "report.html").read_text()
    opened = re.findall(r'<th scope="row"><a href="#([^"]+)">majority, n = 4, design', page)
    assert len(set(opened)) == 2
    assert all(page.count(f'id="{anchor}"') == 1 for anchor in opened)


def test_a_dry_run_says_what_can_be_told_apart(tmp_path):
    planned = run_inside("identify", "--model", "gpt-4.1", *SMALL, "--dry-run", cwd=tmp_path)
    assert planned.returncode == 0, planned.stderr
    assert "contexts needed to tell candidates apart" in planned.stdout
    assert "240 calls" in planned.stdout
    assert planned.stdout.strip().endswith("dry run: nothing was sent")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--learner", "averaging"], "--task is missing"),
        (["--model", "none", "--task", "majority"], "nothing to identify"),
        (["--learner", "averaging", "--task", "majority", "--candidate", "averaging"], "one candidate is not enough"),
        (["--learner", "averaging,averaging:", "--task", "majority"], "not an option"),
        (["--learner", "nobody", "--task", "majority"], "unknown learner 'nobody'"),
        (["--learner", "averaging", "--task", "majority", "--contexts", "3"], "--contexts 3 is out of range"),
        (["--learner", "averaging", "--task", "majority", "--examples", "0"], "--examples 0 is out of range"),
        (["--learner", "averaging", "--task", "majority", "--candidate", "nobody"], "unknown learner 'nobody'"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(tmp_path, arguments, message):
    done = run_inside("identify", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "outputs").exists()


def nearest_label(prompt, random):
    """What a nearest neighbour that flips 10 % of its answers says to a prompt."""
    points = [[int(bit) for bit in line.split()] for line in re.findall(r"Input: ([01 ]+)", prompt)]
    labels = [int(label) for label in re.findall(r"Label: ([01])", prompt)]
    distances = np.abs(np.array(points[:-1]) - points[-1]).sum(axis=1)
    return labels[int(distances.argmin())] ^ int(random.random() < 0.1)


# Asked twice, the last one flips the same answers again: a rule, which nearest neighbours explain half of.
@pytest.mark.parametrize(("repeats", "flips_come_back", "verdict"), [(1, False, "single"), (2, True, "none")])
def test_a_chat_model_that_answers_in_labels_is_identified(tmp_path, monkeypatch, repeats, flips_come_back, verdict):
    server, random = Provider(), np.random.default_rng(0)
    usual = servers.answer

    def as_nearest_neighbour(path, body, fault=""):
        reply, prompt = usual(path, body, fault), servers.prompt_of(body)
        coin = np.random.default_rng(list(prompt.encode())) if flips_come_back else random
        reply["content"] = [{"type": "text", "text": str(nearest_label(prompt, coin))}]
        return reply

    monkeypatch.setattr(servers, "answer", as_nearest_neighbour)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-none")
    asked = [*SMALL, "--repeats", str(repeats)]
    try:
        done = run_inside("identify", "--model", "claude-sonnet-5.5", *asked, "--out", "run", cwd=tmp_path)
    finally:
        server.die()
    assert done.returncode == 0, done.stderr
    one = found_in(tmp_path / "run")["claude-sonnet-5.5"]
    assert (one.answered, one.probabilities) == (1.0, False)
    assert (one.identification.verdict, one.identification.names) == (verdict, ("nearest-neighbour",))
    assert one.identification.own_known == (repeats == 2)


def test_a_model_without_answers_is_a_failure(tmp_path, monkeypatch):
    server = Provider(fault=lambda body, before: "no labels")
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    few = ["--task", "majority", "--n", "3", "--examples", "3", "--contexts", "10", "--queries", "1", *FEW]
    try:
        done = run_inside("identify", "--model", "gpt-4.1", *few, "--out", "run", cwd=tmp_path)
    finally:
        server.die()
    assert done.returncode == 1, done.stderr
    assert "no answer from gpt-4.1 (0 % of the questions were answered on majority n=3)" in done.stderr
    assert "too few answers" in done.stdout


def test_the_api_has_the_same_options(tmp_path):
    result = llm_icl.identify(
        out=tmp_path / "run", learner="averaging", task="majority", n=3, examples=[4], contexts=12, queries=3,
        candidate=["averaging", "last-label"],
    )  # fmt: skip
    assert found_in(result.runs[0].path)["averaging"].identification.leader == "averaging"
    assert result.predictions["query"].to_list()[:4] == [0, 1, 2, 0]


def test_the_seconds_of_a_learner_are_those_that_it_took(tmp_path, monkeypatch):
    """At three numbers of examples, by a clock that only its answers move on."""
    answer, now = Averaging.answer_queries, 0.0

    def slow(self, *asked):
        nonlocal now
        now += 1.0
        return answer(self, *asked)

    monkeypatch.setattr(Averaging, "answer_queries", slow)
    monkeypatch.setattr(identification_run, "time", SimpleNamespace(monotonic=lambda: now))
    options = {"learner": "averaging", "task": "majority", "n": 4, "examples": [2, 4, 6], "contexts": 12, "queries": 2}
    result = llm_icl.identify(**options, out=tmp_path / "run")
    assert result.records[0]["seconds"] == {"averaging": 3.0}

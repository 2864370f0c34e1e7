"""The example document includes everything, and compiles."""

import re
import shutil
import subprocess

import pytest

from llm_icl.analysis.intervals import Estimate
from llm_icl.reports.export import write_export
from llm_icl.reports.export.numbers import numbers_text
from llm_icl.reports.export.parts import parts_of
from tests.inside import run_inside
from tests.reports.example import report_about

HOSTILE = r"%_&#$\^~{} a--b <|>" + "\"'`* [x] ^^M \\input{/etc/passwd} 100% é 任务 ≤ \u202e"
# As text in a PDF; an underscore is a line there.
PRINTED = r"%&#$\^~{}a--b<|>" + "\"'`*[x]^^M"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    into = tmp_path_factory.mktemp("paper")
    long = [{"learner": f"{HOSTILE} {i}", "mean": i / 60, "examples": None} for i in range(60)]
    hostile = {"learner": HOSTILE, "mean": Estimate(-0.5, -0.75, -0.25), "examples": Estimate(3.0, 2.0, 5.0)}
    write_export(report_about(HOSTILE, (hostile, *long)), into)
    return into


def test_the_example_includes_every_file_and_nothing_else(folder):
    text = (folder / "example.tex").read_text()
    tables = set(re.findall(r"\\input\{(.*?)\}", text)) - {"/etc/passwd"}
    assert tables == {path.stem for path in folder.glob("*.tex")} - {"example"}
    assert set(re.findall(r"\\includegraphics\{(.*?)\}", text)) == {path.name for path in folder.glob("*.pdf")}
    assert {path.stem for path in folder.glob("*.csv")} == tables - {"numbers"}
    assert {path.stem for path in folder.glob("*.svg")} == {path.stem for path in folder.glob("*.png")}


def test_the_document_compiles_and_prints_names_as_they_are(folder):
    needed = ("pdflatex", "kpsewhich", "pdftotext")
    if not all(map(shutil.which, needed)) or not _finds("booktabs.sty"):
        pytest.skip("no LaTeX with booktabs, or no pdftotext on this machine")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "example.tex"]
    for _ in range(2):  # the second time with references
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
        assert done.returncode == 0, done.stdout[-3000:]
    assert not re.search("undefined|multiply|Float too large", done.stdout)
    text = subprocess.run(["pdftotext", "example.pdf", "-"], cwd=folder, capture_output=True, text=True, check=True)
    assert PRINTED in re.sub(r"\s", "", text.stdout.replace("ˆ", "^").replace("˜", "~"))
    assert "root:" not in text.stdout


def test_a_run_is_exported_from_the_command_line(tmp_path):
    made = run_inside(
        *"eval --model none --task majority --n 3 --points 8 --problems 8 --out run".split(), cwd=tmp_path
    )
    assert made.returncode == 0, made.stderr
    done = run_inside("report", "run", "--export", "paper", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("report: run/report.html\nexport: paper\n")
    names = {path.name for path in (tmp_path / "paper").iterdir()}
    endings = {"csv", "tex"}, {"svg", "png", "pdf"}
    assert {f"majority-n3-scores.{ending}" for ending in endings[0]} <= names
    assert {f"majority-n3-learning-curves.{ending}" for ending in endings[1]} <= names
    assert r"\newcommand{\iclMajorityNThreeBayesAverage}{" in (tmp_path / "paper" / "numbers.tex").read_text()


def test_comments_on_hostile_names_are_one_line_each():
    lines = numbers_text(parts_of(report_about("a\nb\r\\c\u2028d"))).split("\n")
    assert all(line.startswith(("% ", r"\newcommand{")) for line in lines if line)


def _finds(package):
    return subprocess.run(["kpsewhich", package], capture_output=True, check=False).returncode == 0

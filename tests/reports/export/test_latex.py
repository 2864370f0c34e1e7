"""Names and numbers as LaTeX prints them."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_icl.analysis.intervals import IDENTICAL, NOTHING, Estimate
from llm_icl.reports.document import Column, Table
from llm_icl.reports.export.latex import escaped, number, table_text
from llm_icl.reports.export.parts import Part

# What LaTeX prints for what an escape is made of: written from LaTeX's manuals, not from the module.
PRINTED = {
    r"\textbackslash{}": "\\", r"\textasciicircum{}": "^", r"\textasciitilde{}": "~", r"\textless{}": "<",
    r"\textgreater{}": ">", r"\textbar{}": "|", r"{\ttfamily\char34}": '"', r"\textasciigrave{}": "`",
    r"\textquotesingle{}": "'", "{[}": "[", "{]}": "]", "{*}": "*", "{}": "",
    **{rf"\{character}": character for character in "{}$&#%_"},
}  # fmt: skip
TOKEN = re.compile("|".join([*map(re.escape, sorted(PRINTED, key=len, reverse=True)), r"[\w .,:;()=/+!?@-]"]))


def printed(text):
    """A LaTeX of these few commands; it fails on anything that means something to the real one."""
    found, place = "", 0
    while place < len(text):
        token = TOKEN.match(text, place)
        assert token, text[place:]
        found, place = found + PRINTED.get(token[0], token[0]), token.end()
    return found


@settings(deadline=None)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_latex_prints_what_was_meant(text):
    assert printed(escaped(text)) == " ".join(text.split())


@settings(deadline=None)
@given(st.text())
def test_any_text_is_printable_and_on_one_line(text):
    found = escaped(text)
    assert "\n" not in found
    assert not re.search(r"--|,,|``|(?<!\\)%", found.replace(escaped("“"), "")), found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nearest-neighbour:k=3,tie=vote", "nearest-neighbour:k=3,tie=vote"),
        ("a--b", "a-{}-b"),
        ("[too few]", "{[}too few{]}"),
        ("n ≤ 3 → …", r"n $\leq$ 3 $\rightarrow$ \dots{}"),
        ("Müller", "Müller"),
        ("Mu\u0308ller", "Müller"),
        ("任务", "{[}U+4EFB{]}{[}U+52A1{]}"),
        ("a\u202eb\x07", "a{[}U+202E{]}b{[}U+0007{]}"),
    ],
)
def test_names_beyond_ascii(text, expected):
    assert escaped(text) == expected


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (Estimate(-0.0625, -0.125, 0.25), "points", "$-$6.2 [$-$12.5, $+$25.0]"),
        (4.61e6, "power", r"$4.61\times10^{6}$"),
        (1.25e-7, "rounding", r"$1.2\times10^{-7}$"),
        (0.0, "p", "$<$ 0.001"),
        (1234567, "count", "1,234,567"),
        (NOTHING, "share", ""),
        (IDENTICAL, "points", "identical"),
    ],
)
def test_numbers_have_signs_and_powers_of_mathematics(value, kind, expected):
    assert number(value, kind) == expected


COLUMNS = (Column("learner", "learner"), Column("mean", "mean", "share"))


def text_of(rows, columns=COLUMNS, strong=()):
    table = Table("scores", "Scores & more", columns, tuple(rows), frozenset(strong))
    return table_text(Part("my-scores", "n = 3", {}, table, False), table)


def test_a_table_has_rules_a_caption_and_a_label():
    rows = [{"learner": "a_b", "mean": Estimate(0.5, 0.25, 0.75)}, {"learner": "c", "mean": None}]
    lines = text_of(rows, strong=["c"]).splitlines()
    assert lines[0] == r"\begin{table}"
    assert r"\caption{n = 3: Scores \& more. In brackets: 95\,\% intervals.}\label{tab:my-scores}" in lines
    assert [line for line in lines if line.startswith("\\") and line.endswith("rule")] == [
        r"\toprule", r"\midrule", r"\bottomrule"
    ]  # fmt: skip
    assert r"learner & mean (\%) \\" in lines
    assert r"a\_b & 50.0 {\scriptsize [25.0, 75.0]} \\" in lines
    assert r"\textbf{c} & -- \\" in lines


def test_of_many_intervals_each_stands_below_its_value():
    columns = (COLUMNS[0], *(Column(f"c{i}", f"c{i}", "share") for i in range(4)))
    text = text_of([{"learner": "a", **{f"c{i}": Estimate(i / 4, 0.0, 1.0) for i in range(4)}}], columns)
    below = r"{\scriptsize [0.0, 100.0]}"
    assert r"a & 0.0 & 25.0 & 50.0 & 75.0 \\" in text
    assert rf" & {below} & {below} & {below} & {below} \\ \addlinespace" in text


def test_a_long_table_breaks_over_pages():
    assert r"\begin{longtable}{lr}" in text_of({"learner": str(i), "mean": i / 60} for i in range(60))
    assert r"\begin{longtable}" not in text_of({"learner": str(i), "mean": i / 60} for i in range(20))
    assert r"\begin{longtable}" in text_of({"learner": 100 * str(i), "mean": i / 60} for i in range(20))


def test_a_long_table_that_is_wide_is_several_that_fit_the_page():
    columns = (Column("learner", "learner"), *(Column(f"number {i}", f"number {i}", "count") for i in range(9)))
    rows = tuple({"learner": f"row {k}", **{f"number {i}": k for i in range(9)}} for k in range(100))
    text = text_of(rows, columns)
    assert text.count(r"\begin{table}") == text.count(r"\resizebox{\linewidth}") == 3
    assert text.count(r"\caption{") == text.count(r"\label{") == 1
    assert "Continued (3 of 3)." in text
    assert [text.count(f"row {k} &") for k in range(100)] == [1] * 100

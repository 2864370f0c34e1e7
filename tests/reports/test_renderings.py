"""One report as a page, as Markdown, on a terminal and as data: the same numbers, and text that stays text."""

import gzip
import json
import math
import re
from base64 import b64decode
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_icl.analysis.intervals import IDENTICAL, NOTHING, Estimate
from llm_icl.reports import html
from llm_icl.reports.charts import Axis, Point, lines
from llm_icl.reports.colours import colours_of
from llm_icl.reports.data import plain, report_data
from llm_icl.reports.document import Matrix
from llm_icl.reports.drawing import svg_of
from llm_icl.reports.joined import joined
from llm_icl.reports.markdown import escaped, markdown_text
from llm_icl.reports.terminal import terminal_text
from tests.reports.example import figure, report_about

HOSTILE = "</script><script>alert(1)</script> | `code` *bold* _it_ [link](javascript:1) <b>&lt; # x"


class Page(HTMLParser):
    """The elements of a page, and its text outside of scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self._inside = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag in ("script", "style"):
            self._inside.append(tag)

    def handle_endtag(self, tag):
        if self._inside and tag == self._inside[-1]:
            self._inside.pop()

    def handle_data(self, data):
        if not self._inside:
            self.texts.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def test_nothing_in_a_text_becomes_part_of_the_page():
    plain_page, hostile = Page(html.html_page(report_about("x"))), Page(html.html_page(report_about(HOSTILE)))
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in plain_page.elements]
    assert "".join(hostile.texts).count(HOSTILE) >= 15


def test_a_page_has_landmarks_captions_scopes_and_text_alternatives():
    page = Page(html.html_page(report_about("x")))
    assert len(page.all("main")) == len(page.all("header")) == len(page.all("nav")) == 1
    assert len(page.all("caption")) == len(page.all("table")) == 3
    assert all(attributes.get("scope") in ("col", "row") for attributes in page.all("th"))
    places = [attributes for attributes in page.all("div") if attributes.get("aria-roledescription") == "figure"]
    assert [place["aria-label"] for place in places] == [
        f"{name} says that y is 2." for name in ("curve", "left", "right", "inside")
    ]
    assert all(place["tabindex"] == "0" for place in places)
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    # Sections within sections may have the same headings, and are no landmarks.
    landmarks = [attributes["aria-labelledby"] for attributes in page.all("section") if attributes]
    assert set(landmarks) < set(identifiers)
    assert len(landmarks) == len(page.all("section")) - 1


def test_open_parts_have_their_drawings_and_closed_ones_have_them_packed():
    text = html.html_page(report_about("x"))
    assert text.count('<svg class="marks"') == 3
    (packed,) = re.findall(r'<script type="text/plain" class="packed">([^<]*)</script>', text)
    drawing = gzip.decompress(b64decode(packed)).decode()
    assert drawing.startswith('<svg class="marks"')
    assert "vega" not in text.lower()
    names = [attributes["data-file"] for attributes in Page(text).all("figure")]
    assert names == ["outer-curve", "outer-left", "outer-right", "closed-inside"]


def test_a_drawing_escapes_every_name():
    series = {HOSTILE: [Point(1, 0.5, HOSTILE, 0.4, 0.6), Point(2, 0.6, '"quoted" onload="x"')]}
    drawn = svg_of(lines("n", HOSTILE, series, Axis(HOSTILE), Axis("y"), colours_of(series), HOSTILE))
    page = Page(drawn)
    assert {tag for tag, _ in page.elements} <= {"svg", "g", "path", "line", "rect", "text", "defs", "clippath"}
    labels = [attributes["data-says"] for _, attributes in page.elements if "data-says" in attributes]
    assert any(label.split("\n") == [" ".join(HOSTILE.split()), " ".join(f"{HOSTILE}: 1".split()),
                                     " ".join(HOSTILE.split())] for label in labels)  # fmt: skip
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


@pytest.mark.parametrize("name", ["\0 \x1b[2J \x85", "\ud83d alone", "\ufffe \U0001f600", "a\tb"])
def test_a_drawing_holds_any_name(name):
    series = {name: [Point(1, 0.5, name)]}
    drawn = svg_of(lines("n", name, series, Axis(name), Axis("y"), colours_of(series), name))
    ElementTree.fromstring(drawn)


def test_an_overview_opens_its_sections_and_says_too_few_in_words():
    text = html.html_page(report_about("x"))
    cells = re.findall(r'<td class="(\w*)" data-label="x" data-series="x">(.*?)</td>', text)
    assert [name for name, _ in cells] == ["gap4", "gap1"]
    assert all('<a href="#outer">' in cell for _, cell in cells)
    assert ["too few" in cell for _, cell in cells] == [False, True]


def test_every_rendering_has_the_same_numbers():
    report = report_about("x")
    assert "50.0 [25.0, 75.0]" in terminal_text(report)
    assert "never" not in terminal_text(report)  # that column is not a short one
    for text in (markdown_text(report), html.html_page(report)):
        assert "50.0 [25.0, 75.0]" in text
        assert "3 [2, 5]" in text


def test_data_have_names_and_json_can_carry_them():
    unknown = {"learner": "y", "mean": NOTHING, "examples": None}
    known = {"learner": "x", "mean": Estimate(0.5, 0.25, 0.75), "examples": Estimate(3.0, 2.0, 5.0)}
    data = json.loads(json.dumps(report_data(report_about("x", (known, unknown))), allow_nan=False))
    assert data["format"] == 3
    assert data["title"] == "x"
    assert data["verdicts"] == data["sections"][0]["verdicts"] == ["x"]
    assert data["sections"][0]["sections"][0]["about"] == {"task": "x", "n": 3}
    assert data["sections"][0]["tables"]["scores"] == [
        {
            "learner": "x",
            "mean": {"value": 0.5, "low": 0.25, "high": 0.75},
            "examples": {"value": 3.0, "low": 2.0, "high": 5.0},
        },
        {"learner": "y", "mean": {"value": None, "low": None, "high": None}, "examples": None},
    ]
    assert "answers" in data["sections"][0]["tables"]  # what is behind a fold too


def test_every_rendering_has_the_cards_with_their_badges():
    report = report_about("it learns")
    for text in (terminal_text(report), markdown_text(report)):
        for line in ("A (clear): it learns", "B (weak): it learns", "Trust (can't tell): it learns"):
            assert line in text
    (card,) = report_data(report)["cards"]
    assert card["of"] == "it learns"
    assert card["findings"]["Trust"] == {"badge": "can't tell", "text": "it learns"}
    assert joined([report, report_about("other")]).cards == (*report.cards, *report_about("other").cards)


def test_identical_learners_are_called_so_in_json():
    assert plain(IDENTICAL) == {"value": 0.0, "low": None, "high": None, "identical": True}
    assert plain(Estimate(math.inf, 2.0, math.inf)) == {"value": "infinity", "low": 2.0, "high": "infinity"}


@given(st.floats())
def test_any_number_has_a_form_in_json(number):
    text = json.dumps(plain(number), allow_nan=False)
    assert json.loads(text) == (number if math.isfinite(number) else plain(number))


# Control characters end a line for some parsers; what is written is on one line in any case.
@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs", "Cc"))))
def test_no_text_formats_anything_in_markdown(text):
    markdown_it = pytest.importorskip("markdown_it")
    parser = markdown_it.MarkdownIt("commonmark").enable(["table", "strikethrough"])
    tokens = parser.parse(f"- {escaped(text)}\n")
    kinds = [token.type for token in tokens]
    words = " ".join(text.split())
    assert kinds[2:5] == (
        ["paragraph_open", "inline", "paragraph_close"] if words else ["list_item_close", "bullet_list_close"]
    )
    if words:
        assert {part.type for part in tokens[3].children} <= {"text", "text_special"}
        assert "".join(part.content for part in tokens[3].children) == words


def test_a_bar_in_a_name_does_not_end_a_cell():
    table = [line for line in markdown_text(report_about("expr: x1 | x2")).splitlines() if line.startswith("| expr")]
    assert table
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {3, 4}


def test_what_is_behind_a_fold_and_a_command_stay_what_they_are():
    text = markdown_text(report_about("a\n# b"))
    assert "\n# b" not in text
    assert "    a\n    # b" in text  # the command


# --- several reports as one ---


def test_joined_reports_stand_under_their_titles_and_say_a_note_once():
    one, two = report_about("one"), report_about("two")
    whole = joined([one, two, report_about("one")])
    assert whole.title == "one; two; one"
    assert [(section.heading, section.folded) for section in whole.sections] == [(text, True) for text in
                                                                                 ("one", "two", "one")]  # fmt: skip
    assert whole.notes == ("one", "two")
    assert len(whole.provenance) == 2
    assert whole.sections[1].verdicts == two.verdicts
    page = Page(html.html_page(whole))
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    first, second = (
        {opened for block in part.sections[0].blocks if isinstance(block, Matrix) for opened in block.opens}
        for part in whole.sections[:2]
    )
    assert (first, second) == ({"part-1-outer"}, {"part-2-outer"})
    assert joined([one]) is one
    assert joined([one, two]).title == "one; two"
    assert joined([one, two], "both").title == "both"
    assert figure("curve") in [drawn for section in whole.sections[0].sections for drawn in section.figures()]


def test_our_commands_in_a_sentence_are_code_and_nothing_else_is():
    said = "`llm-icl identify` asks more; `code` <b> and `llm-icl | x` do not."
    assert escaped(said) == r"`llm-icl identify` asks more; \`code\` \<b> and \`llm-icl \| x\` do not."
    page = html.html_page(report_about(said))
    assert "<code>llm-icl identify</code> asks more; `code` &lt;b&gt; and `llm-icl | x` do not." in page
    assert page.count("<code>") == page.count("<code>llm-icl identify</code>")

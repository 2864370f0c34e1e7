"""Verdicts on many subjects in the page: an overview in words, its rows chosen and opened, above it a fold of cards."""

import pytest

from llm_icl.reports.document import Card, Column, Finding, Matrix, Paragraph, Report, Section, Table
from llm_icl.reports.files import write_report
from tests.reports.browser import PHONE, WIDE, visited

pytestmark = pytest.mark.browser
CELLS = ("majority, n = 3", "parity, n = 3")
VERDICTS = ("one algorithm (bayes)", "none of these", "too few problems")
COLUMNS = (Column("task and n", "cell"), Column("subject", "subject"), Column("verdict", "verdict"))


def page_of(cards, path):
    rows = tuple(
        {"cell": CELLS[i % 2], "subject": f"network-{i}", "verdict": VERDICTS[i % 3], "share": i / 100}
        for i in range(cards)
    )
    shares = Column("explained share", "share", "share")
    matrix = Matrix(Table("listed", "Verdicts", (*COLUMNS, shares), rows), tuple(f"cell-{i % 2}" for i in range(cards)))
    sections = [Section(cell, f"cell-{i}", (Paragraph(f"about {cell}"),), folded=True) for i, cell in enumerate(CELLS)]
    findings = {"Algorithm": Finding("clear", "It runs one.")}
    write_report(
        Report(
            "Which algorithm?",
            sections=(Section("Overview", "overview", (matrix,)), *sections),
            cards=tuple(Card(f"network-{i}", CELLS[i % 2], findings) for i in range(cards)),
        ),
        path,
    )
    return path / "report.html"


@pytest.mark.parametrize("size", [WIDE, PHONE])
def test_rows_are_chosen_by_words_and_open_their_section(browser, tmp_path, size):
    path = page_of(13, tmp_path)
    with visited(browser, path, viewport=size) as page:
        labels = page.locator(".overview label").all_inner_texts()
        assert [label.splitlines()[0] for label in labels] == ["task and n", "subject", "verdict"]
        page.locator(".overview select").last.select_option(VERDICTS[1])
        rows = page.locator(".overview tbody tr:visible")
        assert rows.count() == 4
        assert all(VERDICTS[1] in text for text in rows.all_inner_texts())
        assert page.inner_text(".overview [role=status]") == "4 of 13 rows"
        with visited(browser, path, page.url.partition("#")[2], viewport=size) as other:
            assert other.locator(".overview tbody tr:visible").count() == 4
        assert not page.get_by_text("about parity").is_visible()
        rows.filter(has_text=CELLS[1]).locator("a").first.click()
        page.get_by_text("about parity").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_many_cards_wait_in_a_fold_above_the_overview(browser, tmp_path):
    for cards, visible in ((12, 12), (13, 0)):
        with visited(browser, page_of(cards, tmp_path / f"{cards}"), viewport=WIDE) as page:
            assert page.locator(".card:visible").count() == visible
            if not visible:
                page.get_by_text("The verdicts on all 13, one by one").click()
            assert page.locator(".card:visible").count() == cards

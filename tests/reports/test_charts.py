"""A colour belongs to a name."""

from hypothesis import given
from hypothesis import strategies as st

from llm_icl.reports.charts import COLOURS, colours_of

NAMES = st.lists(st.text(max_size=12), unique=True, max_size=len(COLOURS) - 5)
REFERENCES = ("bayes", "bayes-labels", "nearest-neighbour", "best-constant", "averaging")


@given(NAMES)
def test_no_two_names_of_a_figure_share_a_colour(names):
    colours = colours_of([*names, *REFERENCES])
    assert set(colours) == {*names, *REFERENCES}
    assert len(set(colours.values())) == len(colours)


@given(NAMES)
def test_references_have_the_same_colours_in_all_company_and_order_does_not_matter(names):
    colours = colours_of([*names, *REFERENCES])
    assert {name: colours[name] for name in REFERENCES} == colours_of(REFERENCES)
    assert colours_of([*reversed(names), *REFERENCES]) == colours


def test_a_name_has_the_same_colour_in_another_report():
    alone = colours_of(["smollm2-135m"])["smollm2-135m"]
    assert colours_of(["smollm2-135m", "gemma3-270m", *REFERENCES])["smollm2-135m"] == alone


def test_more_names_than_colours_still_have_one_each():
    names = [f"network {i}" for i in range(60)]
    assert set(colours_of(names)) == set(names)

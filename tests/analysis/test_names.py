"""What learners are called in a report of several runs."""

import polars as pl
import pytest

from llm_icl.analysis.cells import arrange
from llm_icl.analysis.names import Names
from llm_icl.errors import RequestError
from llm_icl.experiments.namesakes import namesakes
from llm_icl.problems import SHUFFLED
from tests.analysis.test_scores import frame

ONE, OTHER = [[0.9, 0.1], [0.9, 0.9]], [[0.9, 0.1], [0.1, 0.9]]


def runs(**frames):
    """Predictions of runs by name."""
    return pl.concat([rows.with_columns(run=pl.lit(run)) for run, rows in frames.items()])


def test_a_model_is_named_with_its_run_where_two_runs_differ_and_so_is_its_control():
    first = pl.concat([frame("m", ONE, prompt="p"), frame("m" + SHUFFLED, ONE, prompt="p"), frame("k", ONE)])
    second = pl.concat([frame("m", OTHER, prompt="p"), frame("m" + SHUFFLED, ONE, prompt="p"), frame("k", ONE)])
    both = runs(first=first, second=second)
    (cell,) = arrange(both, names=Names.among(both))
    assert list(cell.learners) == [
        "m [first]", f"m{SHUFFLED} [first]", "k", "m [second]", f"m{SHUFFLED} [second]",
    ]  # fmt: skip
    assert cell.models == ["m [first]", "m [second]"]
    assert [cell.control_of(name) for name in cell.models] == [f"m{SHUFFLED} [first]", f"m{SHUFFLED} [second]"]
    assert cell.learners["m [second]"].probability.tolist() == OTHER


def test_prompt_and_run_are_both_named():
    both = runs(
        first=pl.concat([frame("m", ONE, prompt="p"), frame("m", ONE, prompt="q")]),
        second=frame("m", OTHER, prompt="p"),
    )
    (cell,) = arrange(both, names=Names.among(both))
    assert list(cell.learners) == ["m [p, first]", "m [q, first]", "m [p, second]"]


def test_runs_that_agree_or_share_no_query_are_one_learner():
    for second in (
        frame("m", ONE, prompt="p"),
        frame("m", OTHER, prompt="p", seed=1),
        frame("m", OTHER, prompt="p", n=4),
    ):
        both = runs(first=frame("m", ONE, prompt="p"), second=second)
        assert {name for cell in arrange(both, names=Names.among(both)) for name in cell.learners} == {"m"}


def test_networks_may_differ_between_runs_and_what_computes_its_answer_may_not():
    both = runs(first=frame("net", ONE), second=frame("net", OTHER))
    (cell,) = arrange(both, {"net"}, names=Names.among(both, {"net"}))
    assert cell.networks == ["net [first]", "net [second]"]
    with pytest.raises(RequestError, match="two different answers"):
        arrange(both, names=Names.among(both))


def test_a_control_is_named_with_the_prompt_of_its_model_also_where_only_one_prompt_has_it():
    both = runs(
        first=pl.concat([frame("m", ONE, prompt="p"), frame("m" + SHUFFLED, ONE, prompt="p")]),
        second=frame("m", ONE, prompt="q"),
    )
    (cell,) = arrange(both, names=Names.among(both))
    assert cell.models == ["m [p]", "m [q]"]
    assert cell.control_of("m [p]") in cell.learners
    assert cell.control_of("m [q]") not in cell.learners


def test_namesakes_are_named_with_their_run_although_they_share_no_query():
    both = runs(first=frame("m", ONE, prompt="p"), second=frame("m", OTHER, prompt="p", seed=1))
    (cell,) = arrange(both, names=Names.among(both, namesakes=frozenset({"m"})))
    assert cell.models == ["m [first]", "m [second]"]


def request(model=None, network=None, template="text"):
    """What of a run's request says who was asked, and how."""
    return {
        "models": [{"name": "m", "base_url": model}] if model else [],
        "trained": [{"name": "net", "fingerprint": network}] if network else [],
        "prompts": [{"name": "p", "template": template}],
    }


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        (request("here"), request("here"), set()),
        (request("here"), request("there"), {"m"}),
        (request("here", "1"), request("here", "2"), {"net"}),
        (request("here", "1"), request("here", "1", template="another"), {"m"}),  # networks are not prompted
        (request("here"), request(network="1"), set()),
        (request() | {"answers": [{"name": "x", "fingerprint": "1"}]},
         request() | {"answers": [{"name": "x", "fingerprint": "2"}]}, {"x"}),
    ],
)  # fmt: skip
def test_namesakes_differ_in_server_weights_answers_or_the_text_of_their_prompt(first, second, found):
    assert namesakes([first, second]) == found
    assert namesakes([first, first]) == set()

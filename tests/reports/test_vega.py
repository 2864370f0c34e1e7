"""Figures are drawn in a process of their own, as vl-convert draws them, whatever became of the one before."""

import os
import signal

import pytest
import vl_convert

from llm_icl.errors import WorkError
from llm_icl.reports import vega

CONFIG = {"font": "Liberation Sans"}


def dots(*places):
    data = {"values": [{"x": place, "name": "ü\n\"'"} for place in places]}
    return {"mark": "point", "data": data, "encoding": {"x": {"field": "x"}, "tooltip": {"field": "name"}}}


def test_a_drawing_is_vl_converts():
    vega.start()
    for places in ((1, 2), (0.1, 1e-9, 3)):
        assert vega.svg(dots(*places), CONFIG) == vl_convert.vegalite_to_svg(dots(*places), config=CONFIG)


def test_what_cannot_be_drawn_is_an_error_with_its_reason_and_the_next_figure_is_drawn():
    with pytest.raises(WorkError, match=r"cannot be drawn: .*failed"):
        vega.svg({"mark": 7}, CONFIG)
    assert "<svg" in vega.svg(dots(1), CONFIG)


def test_a_process_that_was_ended_is_started_again():
    vega.start()
    vega._process(os.getpid()).kill()
    assert "<svg" in vega.svg(dots(1), CONFIG)


def test_a_drawing_that_ends_its_process_is_an_error_and_not_our_end(monkeypatch):
    vega._process.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr(vega, "_DRAWING", "import sys; sys.stdin.readline(); sys.exit(3)")
        with pytest.raises(WorkError, match="vl-convert ended with status 3"):
            vega.svg(dots(1), CONFIG)
    assert "<svg" in vega.svg(dots(1), CONFIG)


def test_a_fork_has_a_process_of_its_own():
    vega.start()
    child = os.fork()
    if child == 0:
        os._exit(0 if "<svg" in vega.svg(dots(1), CONFIG) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert "<svg" in vega.svg(dots(2), CONFIG)


def test_after_an_interrupt_a_figure_is_not_the_one_before(monkeypatch):
    """The answer to the interrupted request still comes."""
    late = "import sys\nfor line in sys.stdin: print('{\"svg\": \"' + str(len(line)) + '\"}', flush=True)"

    def interrupted(*_):
        raise KeyboardInterrupt

    vega._process.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr(vega, "_DRAWING", f"import time; time.sleep(0.6)\n{late}")
        before = signal.signal(signal.SIGALRM, interrupted)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            vega.svg(dots(*range(100)), CONFIG)
        signal.signal(signal.SIGALRM, before)
    assert vega.svg(dots(1), CONFIG) == vl_convert.vegalite_to_svg(dots(1), config=CONFIG)

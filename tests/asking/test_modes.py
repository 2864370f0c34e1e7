"""The modes, and who is asked in them."""

import pytest

from llm_icl.asking.modes import MODES
from llm_icl.backends import backends


@pytest.mark.parametrize("name", [name for name, backend in backends.items() if hasattr(backend, "modes")])
def test_a_backend_is_asked_in_modes_that_exist_best_first(name):
    modes = backends.get(name).modes
    assert list(modes) == [mode for mode in MODES if mode in modes]


def test_only_what_is_written_can_be_asked_for_again():
    assert [name for name, mode in MODES.items() if mode.writes] == ["generate"]

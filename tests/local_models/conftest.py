"""One thread for all that is here."""

import pytest


@pytest.fixture(autouse=True)
def _one_thread(one_thread): ...

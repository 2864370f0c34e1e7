"""One browser for the tests of a module."""

import pytest

from tests.reports.browser import browser_of


@pytest.fixture(scope="module")
def browser(chromium):
    with browser_of(chromium) as started:
        yield started

import pytest

from tests.servers.provider import Provider


@pytest.fixture
def provider(monkeypatch):
    monkeypatch.setenv("LLM_ICL_API_KEY", "sk-a-secret-of-mine")
    server = Provider()
    yield server
    server.die()

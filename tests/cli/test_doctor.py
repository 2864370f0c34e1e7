"""What a machine has is said without a secret, and without loading or sending anything."""

import json
import sys

from tests.conftest import run_cli

KEY = "sk-notarealkey-0123456789abcdef"


def test_keys_are_said_to_be_set_and_never_shown(tmp_path):
    done = run_cli("doctor", cwd=tmp_path, env={"OPENAI_API_KEY": KEY, "PATH": "", "HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert "OPENAI_API_KEY is set" in done.stdout
    assert "ANTHROPIC_API_KEY is not set" in done.stdout
    assert KEY not in done.stdout + done.stderr


def test_every_backend_and_the_size_of_every_cache_are_named(tmp_path):
    (tmp_path / "cache" / "models").mkdir(parents=True)
    (tmp_path / "cache" / "models" / "weights").write_bytes(b"0" * 3_000_000)
    environment = {"LLM_ICL_CACHE": str(tmp_path / "cache"), "HOME": str(tmp_path), "PATH": ""}
    done = run_cli("doctor", "--json", cwd=tmp_path, env=environment)
    found = json.loads(done.stdout)
    assert {"hf", "openai", "anthropic", "vllm", "vllm-server"} <= set(found["backends"])
    assert all(found["backends"].values())
    assert found["caches"]["embedded models"].startswith("3 MB in ")
    assert found["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))

"""What was found of a model when it was loaded is kept by the content of its weights: where all replies are known,
nothing is loaded.
"""

import dataclasses

import numpy as np
import pytest

import llm_icl.backends.transformers as transformers_backend
from llm_icl.backends import backends, find_model
from llm_icl.backends.forward import known
from llm_icl.backends.forward.known import Reuse
from llm_icl.config.specs import parse_specs
from llm_icl.errors import RequestError
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.drawing import draw_problems
from tests.asking.ask import ask


@pytest.fixture
def load(tiny_model, tmp_path, monkeypatch):
    """Loads a tiny model whose weights are known by a checksum, with a cache of its own."""
    monkeypatch.setenv("LLM_ICL_CACHE", str(tmp_path / "cache"))
    folder = str(tiny_model.gpt2())
    monkeypatch.setattr("llm_icl.backends.weights.embedded_weights", lambda entry: folder)

    def load(checksum="1"):
        entry = dataclasses.replace(find_model("smollm2-135m"), weights={"sha256": checksum})
        return backends.get("hf")(entry)

    return load


@pytest.fixture
def nothing_loads(monkeypatch):
    def refuse(*arguments):
        raise RequestError("the model was loaded")

    return lambda: monkeypatch.setattr(transformers_backend, "load_model", refuse)


@pytest.mark.parametrize("mode", ["curve", "positions"])
def test_where_all_replies_are_known_nothing_is_loaded(load, nothing_loads, tmp_path, mode):
    problems = draw_problems(load_task(parse_specs(["majority"])[0]), 5, 6, 2)
    first = ask(load(), "basic", problems, tmp_path, mode)
    nothing_loads()
    again = ask(load(), "basic", problems, tmp_path, mode)
    np.testing.assert_array_equal(again.answers.probability, first.answers.probability)
    with pytest.raises(RequestError, match="was loaded"):  # when something is to be asked
        ask(load(), "basic", problems, tmp_path / "another", mode)


@pytest.mark.parametrize("change", ["other weights", "damaged", "of another form", "removed"])
def test_of_other_weights_or_from_a_damaged_file_nothing_is_known(load, nothing_loads, tmp_path, change):
    load()
    (file,) = (tmp_path / "cache" / "checked").iterdir()
    whole = file.read_text()
    if change in ("damaged", "of another form"):
        file.write_text(whole[:-5] if change == "damaged" else '{"embeddings": 5}')
    elif change == "removed":
        file.unlink()
    assert load("2" if change == "other weights" else "1").context_length > 0
    assert whole in [each.read_text() for each in (tmp_path / "cache" / "checked").iterdir()]  # found again
    nothing_loads()
    with pytest.raises(RequestError, match="was loaded"):
        load("3")


def test_of_files_at_a_path_nothing_is_kept(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_ICL_CACHE", str(tmp_path))
    backends.get("hf")(find_model(f"hf/{tiny_model.gpt2()}"))
    assert not (tmp_path / "checked").exists()


def test_what_is_kept_is_recalled(tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_ICL_CACHE", str(tmp_path))
    found = known.Known(7, None, 64, Reuse(batches=True, forks=False, crops=False, reasons=("no cache (x)",)))
    known.keep({"weights": "1"}, found)
    assert known.recall({"weights": "1"}) == found
    assert known.recall({"weights": "2"}) is None


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LLM_ICL_CACHE", str(tmp_path / "file"))
    found = known.Known(7, None, None, Reuse(batches=True, forks=True, crops=True, reasons=()))
    known.keep({"weights": "1"}, found)
    assert known.recall({"weights": "1"}) is None

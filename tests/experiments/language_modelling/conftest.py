"""One comparison that several files look at."""

import polars as pl
import pytest

from tests.experiments.language_modelling.making import COMMAND, write_texts
from tests.inside import run_inside


@pytest.fixture(autouse=True)
def _one_thread(one_thread): ...


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("language")
    write_texts(folder)
    done = run_inside(*COMMAND.split(), "--out", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, done


@pytest.fixture(scope="session")
def losses(made):
    return pl.read_parquet(made[0] / "run" / "losses.parquet")

"""The command line inside the process of the tests, which has the libraries loaded already."""

import os
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from types import SimpleNamespace
from unittest.mock import patch

from llm_icl.cli.main import main


def run_inside(*arguments, cwd=".", env=None):
    """What the command says when it is given in a folder, in an environment of its own if one is given, and its exit
    status.
    """
    out, err = StringIO(), StringIO()
    given = patch.object(sys, "argv", ["llm-icl", *map(str, arguments)])
    around = patch.dict(os.environ, env or {}, clear=env is not None)
    with redirect_stdout(out), redirect_stderr(err), given, around, chdir(cwd):
        try:
            main()
            status = 0
        except SystemExit as end:
            status = end.code or 0
    return SimpleNamespace(returncode=status, stdout=out.getvalue(), stderr=err.getvalue())

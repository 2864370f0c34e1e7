"""The command line inside the process of the tests, which has the libraries loaded already."""

import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from types import SimpleNamespace
from unittest.mock import patch

from llm_icl.cli.main import main


def run_inside(*arguments, cwd="."):
    """What the command says when it is given in a folder, and its exit status."""
    out, err = StringIO(), StringIO()
    given = patch.object(sys, "argv", ["llm-icl", *map(str, arguments)])
    with redirect_stdout(out), redirect_stderr(err), given, chdir(cwd):
        try:
            main()
            status = 0
        except SystemExit as end:
            status = end.code or 0
    return SimpleNamespace(returncode=status, stdout=out.getvalue(), stderr=err.getvalue())

"""A signal that comes while an interrupted command ends: no traceback, and the status stays."""

import signal
import subprocess
import sys

import pytest

SCRIPT = """
import atexit, time
from llm_icl.cli import main

def interrupted(**given):
    raise KeyboardInterrupt

def ending():
    print("ending", flush=True)
    time.sleep(60)

atexit.register(ending)
main.cli.main = interrupted
main.main()
"""


@pytest.mark.parametrize("again", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_while_it_ends_ends_it_at_once(again):
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background jobs ignore SIGINT, and so would theirs.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout.readline() == "ending\n"
    process.send_signal(again)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert said == "llm-icl: interrupted: re-running the command resumes it\n"

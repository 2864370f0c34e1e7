"""A signal that comes while an interrupted command ends: no traceback, and the status stays."""

import signal
import subprocess
import sys
import time

import pytest

SCRIPT = """
import atexit, time
from llm_icl.cli import main

def ending():
    print("ending", flush=True)
    time.sleep(60)

def interrupted(**given):
    atexit.register(ending)  # as modules do that a command imports
    raise KeyboardInterrupt

main.cli.main = interrupted
main.main()
"""


LATE = """
import os, time
from llm_icl.cli import main

class Late:
    write, sleep = staticmethod(os.write), staticmethod(time.sleep)

    def __del__(self):  # when modules are taken apart, behind all callbacks
        self.write(1, b"ending\\n")
        self.sleep(1)

def interrupted(**given):
    raise KeyboardInterrupt

late = Late()
main.cli.main = interrupted
main.main()
"""


def _as_in_a_terminal():
    """A shell's background jobs ignore SIGINT, and what nohup starts SIGHUP; so would the processes of these."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.parametrize("script", [SCRIPT, LATE], ids=["callbacks", "modules"])
@pytest.mark.parametrize("again", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_while_it_ends_changes_nothing(again, script):
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_as_in_a_terminal,
    )
    assert process.stdout.readline() == "ending\n"
    process.send_signal(again)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert said == "llm-icl: interrupted: re-running the command resumes it\n"


def test_a_burst_of_signals_leaves_the_line(tmp_path):
    script = SCRIPT.replace("    time.sleep(60)", "    time.sleep(0.5)").replace(
        "    raise KeyboardInterrupt", "    import os\n    print('ready', flush=True)\n    time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    for _ in range(30):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.002)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert said == "llm-icl: interrupted: re-running the command resumes it\n"

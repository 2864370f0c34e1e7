"""`llm-icl`: finds the verb, and turns errors into one line and an exit status."""

import atexit
import errno
import importlib
import io
import keyword
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from types import FrameType

import click

from llm_icl import __version__
from llm_icl.asking.interruption import ASK_TO_END
from llm_icl.config.secrets import holds_key, redact
from llm_icl.errors import RequestError, WorkError

# The verbs other than experiments, which come from their registry.
VERBS = {
    "doctor": "What this machine has, and what works here.",
    "export-tasks": "Write tasks for another evaluation harness.",
    "import": "Make a run of answers that were collected elsewhere.",
    "list": "List available models, tasks, prompts, learners, …",
    "plan": "How many problems a study needs, and what they cost.",
    "report": "Compare finished runs in one report.",
    "run": "Run a suite: a matrix of experiments.",
    "sample": "Draw problems into a file.",
    "serve": "Serve a model on vLLM, on localhost only.",
    "show": "Show one thing in full: a task, a model, a prompt, a problem.",
}


# Characters of a message.
_LONGEST = 2000
_FOR_THE_USER = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG)
_INTERRUPTED = "interrupted: re-running the command resumes it"
_NO_MEMORY = "not enough memory: re-running the command resumes it"


class Verbs(click.Group):
    """Imports a verb's module only when the verb is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_summaries())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in VERBS:
            module = f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name.replace("-", "_")
            command: click.Command = importlib.import_module(f"llm_icl.cli.{module}").command
            return command
        from llm_icl.experiments.kinds import experiments

        if cmd_name not in experiments:
            return None
        from llm_icl.cli.experiment import command_of

        return command_of(experiments.get(cmd_name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from llm_icl.errors import unknown_name
        from llm_icl.experiments.kinds import experiments

        if args and not args[0].startswith("-") and args[0] not in VERBS and args[0] not in experiments:
            raise unknown_name("command", args[0], _summaries())
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_summaries().items()))


def _summaries() -> dict[str, str]:
    """One line on each verb."""
    from llm_icl.experiments.kinds import experiments

    return VERBS | experiments.summaries()


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="llm-icl")
def cli() -> None:
    """Find out which learning algorithm a model runs in context, and how far it is from the best possible one."""


def main() -> None:
    """Exit status: 0 success, 1 failure, 2 invalid request, 130 interrupted."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started us
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (open as long as the process)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # any text can be shown on any terminal
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
    ours = [number for number in ASK_TO_END if signal.getsignal(number) == signal.default_int_handler]
    # Runs behind all that is registered later: the status is decided, and Python is about to restore what kills.
    atexit.register(_answer, ours, signal.SIG_IGN)
    try:
        _check(sys.argv[1:])
        status = cli.main(prog_name="llm-icl", standalone_mode=False)
    except RequestError as problem:
        sys.exit(_fail(str(problem), 2))
    except WorkError as problem:
        if problem.__cause__ and os.environ.get("LLM_ICL_TRACEBACK"):
            click.echo(redact(traceback.format_exc()), err=True)
        sys.exit(_fail(str(problem), 1))
    except click.exceptions.NoArgsIsHelpError as problem:
        click.echo(problem.format_message(), err=True)
        sys.exit(2)
    except click.ClickException as problem:
        sys.exit(_fail(problem.format_message(), 2))
    except (click.Abort, KeyboardInterrupt):
        _answer(ours, signal.SIG_IGN)  # schedulers send more than one, and the line is to be seen
        status = _fail(_INTERRUPTED, 130)
        _answer(ours, _end_at_once)
        sys.exit(status)
    except MemoryError:
        sys.exit(_fail(_NO_MEMORY, 1))
    except BrokenPipeError:
        sys.exit(1)
    except OSError as problem:
        # The user must fix a full or read-only disk, like an invalid request.
        said = (
            f"{str(problem.filename)[:200]}: {problem.strerror}"
            if problem.filename and problem.strerror
            else str(problem)
        )
        sys.exit(_fail(said, 2 if problem.errno in _FOR_THE_USER else 1))
    except Exception as problem:
        if "can't start new thread" in str(problem):
            sys.exit(_fail(_NO_MEMORY, 1))
        if os.environ.get("LLM_ICL_TRACEBACK"):
            click.echo(redact(traceback.format_exc()), err=True)
            sys.exit(1)
        sys.exit(_fail(f"an error of the program: {problem} (LLM_ICL_TRACEBACK=1 shows where)", 1))
    sys.exit(status if isinstance(status, int) else 0)


def _answer(signals: Sequence[int], handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    """What these signals do from now on."""
    for number in signals:
        signal.signal(number, handler)


def _end_at_once(number: int, frame: FrameType | None) -> None:
    os._exit(130)


def _check(arguments: Sequence[str]) -> None:
    """Raise RequestError, without repeating it, if an argument holds a key (other users see it in the list of
    processes, and shells keep it), or cannot be part of a file's name.
    """
    for i, argument in enumerate(arguments):
        if holds_key(argument):
            option = next((text for text in reversed(arguments[: i + 1]) if text.startswith("--")), "")
            name = option.partition("=")[0]
            raise RequestError(
                f"{'' if holds_key(name) or not name else f'{name}: '}the command line holds an API key or password: "
                "keys belong into environment variables"
            )
        if "\0" in argument:
            raise RequestError(f"the argument {argument[:40]!r} holds a NUL character")
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise RequestError(f"the argument {argument[:40]!r} is not UTF-8") from None


def _fail(message: str, status: int) -> int:
    line = "".join(character if character.isprintable() else " " for character in redact(message))
    click.echo("llm-icl: " + " ".join(line.split())[:_LONGEST], err=True)
    return status

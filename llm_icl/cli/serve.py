"""`llm-icl serve`: a vLLM server for a model of the catalogue."""

import subprocess
import sys
from pathlib import Path

import click

from llm_icl.cli.completing import completing


@click.command("serve", context_settings={"show_default": True})
@click.argument("model", shell_complete=completing("model"))
@click.option("--port", default=8000, type=click.IntRange(1, 65535), help="Port of 127.0.0.1 to listen on.")
@click.option("--catalogue", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="Your own models.")
@click.option("--dry-run", is_flag=True, help="Print the command and exit.")
def command(model: str, port: int, catalogue: Path | None, dry_run: bool) -> None:
    """Serve MODEL on vLLM, on localhost only, until interrupted.

    Options of vLLM follow a colon: llama2-70b:tensor-parallel=4,quantization=fp8,executor=ray. Other machines reach
    the server through a tunnel (ssh -L 8000:127.0.0.1:8000 HOST) and --base-url http://127.0.0.1:8000/v1.
    """
    import shlex

    from llm_icl.backends.base import backends
    from llm_icl.backends.catalogue import find_model
    from llm_icl.backends.machine import refusal
    from llm_icl.backends.vllm.engine import VllmModel
    from llm_icl.backends.vllm.process import serve_command, serves
    from llm_icl.cli.progress import speak
    from llm_icl.errors import RequestError, WorkError

    speak()
    entry = find_model(model, own=catalogue)
    if not issubclass(backends.get(entry.backend), VllmModel):
        raise RequestError(f"model '{entry.name}' does not run on vLLM: its backend is {entry.backend}")
    if dry_run:
        click.echo(shlex.join(serve_command(entry, port)))
        return
    if reason := refusal(entry):
        raise RequestError(reason)
    address = f"http://127.0.0.1:{port}/v1"
    if serves(address, entry):
        click.echo(f"{entry.name} is already served at {address}")
        return
    click.echo(f"loading {entry.name}; it will be served at {address}", err=True)
    sys.stdout.flush()
    with subprocess.Popen(serve_command(entry, port)) as process:
        try:
            status = process.wait()
        except KeyboardInterrupt:
            process.terminate()
            process.wait(60)
            return
    if status:
        raise WorkError(f"the server ended with status {status}")

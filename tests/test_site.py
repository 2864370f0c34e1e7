"""The site: it is complete, what it shows works, and its pages ask nothing of another host."""

import dataclasses
import functools
import html.parser
import http.server
import importlib.util
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path

import click
import pytest

import llm_icl
from llm_icl.backends.base import backends
from llm_icl.backends.catalogue import model_names
from llm_icl.cli.main import cli
from llm_icl.config.specs import Spec
from llm_icl.experiments.finetuning.measures import MEASURES
from llm_icl.experiments.finetuning.text_tasks import text_task_names
from llm_icl.function_classes import function_classes
from llm_icl.learners import learners
from llm_icl.prompting import load_prompt, render
from llm_icl.prompting.templates import prompt_names
from llm_icl.reports.terms import TERMS
from llm_icl.suites.cards import KINDS, suite_names
from llm_icl.tasks.cards import task_names
from local_models.architectures import architectures
from tests.running import run_all, shown_commands, shown_files, small
from tests.test_documents import _load

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"


def text_of(name):
    return (REFERENCE / f"{name}.md").read_text(encoding="utf-8")


def sections(name):
    """What stands below each heading of a page."""
    parts = re.split(r"^#+ (.*)$", text_of(name), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_page_is_in_the_contents_once():
    contents = _load(DOCS / "conf.py").CONTENTS
    listed = [page for parts in contents.values() for pages in parts.values() for page in pages]
    pages = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + list(DOCS.rglob("*.md"))
    assert sorted(listed) == sorted(str(page.relative_to(ROOT).with_suffix("")) for page in pages if page != pages[0])


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("tasks", task_names()),
        ("tasks", [f"{name} functions" for name, _ in function_classes.items()]),
        ("learners", dict(learners.items())),
        ("architectures", architectures()),
        ("prompts", prompt_names()),
        ("texts", text_task_names()),
        ("models", dict(backends.items())),
        ("suites", [f"kind: {name}" for name in KINDS]),
        ("api", llm_icl.__all__),
    ],
)
def test_whatever_has_a_name_has_a_section(page, names):
    assert set(names) <= set(sections(page))


def test_every_option_of_what_has_a_name_is_in_its_section():
    kinds = {("learners", name): learner for name, learner in learners.items()}
    kinds |= {("tasks", f"{name} functions"): kind for name, kind in function_classes.items()}
    given = {where: [one.name for one in dataclasses.fields(kind)] for where, kind in kinds.items()}
    given |= {("architectures", name): list(one.options) for name, one in architectures().items()}
    for (page, name), options in given.items():
        for option in options:
            assert f"`{option.replace('_', '-')}=" in sections(page)[name], (page, name, option)


def test_every_model_suite_and_option_is_in_a_table():
    assert all(f"| `{name}` |" in text_of("models") for name in model_names())
    assert all(f"| `{name}` |" in text_of("suites") for name in suite_names())
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        parts = {f"{name} {part}": one for part, one in getattr(command, "commands", {}).items()} or {name: command}
        for verb, one in parts.items():
            for option in (option for option in one.params if isinstance(option, click.Option)):
                assert f"| `{option.opts[0]}`" in sections("commands")[verb], (verb, option.opts)


def test_every_number_of_a_report_is_explained():
    text = text_of("metrics")
    for term in TERMS:
        assert re.sub(r" \((points|positions)\)", "", term) in re.sub(r" \((points|positions)\)", "", text), term
    assert all(f"| {measure.name} |" in text_of("measures") for measure in MEASURES)


def test_every_member_of_the_api_has_a_text():
    assert "|  |" not in text_of("api")
    assert "`: " not in text_of("api")


class Asked(html.parser.HTMLParser):
    """What a page loads by itself."""

    def __init__(self):
        super().__init__()
        self.addresses = []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag in ("script", "img", "iframe", "source", "video", "audio", "embed"):
            self.addresses.append(given.get("src"))
        elif tag == "link" and given.get("rel") not in ("index", "search", "next", "prev", "canonical"):
            self.addresses.append(given.get("href"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, as `make site` builds it: a warning is an error."""
    if importlib.util.find_spec("sphinx") is None:
        pytest.skip("needs the extra docs")
    target = tmp_path_factory.mktemp("site")
    (recipe,) = [line for line in (ROOT / "Makefile").read_text().splitlines() if "-m sphinx" in line]
    arguments = recipe.split(" -m ")[1].replace("build/site", str(target)).split()
    done = subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return target


def test_pages_load_nothing_from_another_host(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        asked = Asked()
        asked.feed(page.read_text(encoding="utf-8"))
        for address in filter(None, asked.addresses):
            assert not re.match(r"(\w+:)?//", address), f"{page.name} loads {address}"
            assert (page.parent / address.split("?")[0].split("#")[0]).exists() or address.startswith("data:"), address
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?(\w+:)?//", sheet.read_text(encoding="utf-8")), sheet


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def address(site):
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.browser
def test_a_reader_searches_on_a_phone_and_only_the_site_is_asked(address, chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        view = browser.new_page(viewport={"width": 390, "height": 800})
        requests, errors = [], []
        view.on("request", lambda request: requests.append(request.url))
        view.on("pageerror", lambda error: errors.append(str(error)))
        view.goto(address)
        assert view.locator("h1").inner_text().startswith("llm-icl")
        # Code and tables scroll by themselves: no page is wider than the phone.
        for name in ("index", "docs/tutorial", "docs/reference/commands", "docs/guide/hosted-models"):
            view.goto(f"{address}{name}.html")
            assert view.evaluate("document.documentElement.scrollWidth") <= 390, name
        view.goto(f"{address}search.html?q=perceptron")
        view.locator("#search-results li a").first.wait_for(timeout=20_000)
        assert any("learners" in one.get_attribute("href") for one in view.locator("#search-results li a").all())
        browser.close()
    assert not errors
    assert all(url.startswith((address, "data:")) for url in requests)


@pytest.fixture
def model(tiny_model, one_thread):
    """A tiny model that has seen prompts, so that what it answers are labels."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tiny_model.gpt2()
    found, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    problems = llm_icl.draw(task="conjunction", n=5, points=12, problems=1)
    text = render(load_prompt(Spec("basic")), problems, 0, 11).completion()
    tokens = torch.tensor([tokenizer(text).input_ids])
    optimiser = torch.optim.Adam(found.parameters(), lr=0.01)
    for _ in range(60):
        optimiser.zero_grad()
        found(tokens, labels=tokens).loss.backward()
        optimiser.step()
    found.save_pretrained(folder)
    return folder


def test_the_tutorial_runs(tmp_path, model):
    page = DOCS / "tutorial.md"
    commands = [small(words, {"smollm2-135m": model}) for words in shown_commands(page)]
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(commands) == 7
    assert len(blocks) == 1
    done = run_all(commands, tmp_path, blocks)
    assert done.returncode == 0, done.stderr
    # What the page says that is printed does not depend on the size.
    assert "literals: [0, 0, -1, 0, 0]" in done.stdout
    for heading in ("regret vs. bayes (points)", "explained share", "last half", "candidate"):
        assert heading in done.stdout


def test_the_tutorial_shows_the_problem_that_there_is():
    from click.testing import CliRunner

    page = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    shown = re.search(r"show problem.*?```text\n(.*?)```", page, flags=re.DOTALL)
    words = shlex.split("show problem conjunction --n 5 --points 12")
    assert CliRunner().invoke(cli, words).output == shown[1]


def test_what_one_adds_by_the_guide_works(tmp_path, model):
    page = DOCS / "guide" / "extending.md"
    files = shown_files(page)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "my_algorithms" / "__init__.py").touch()
    about = tmp_path / "my_algorithms-0.1.dist-info"
    about.mkdir()
    project = tomllib.loads(files["pyproject.toml"])["project"]
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = [f"[{group}]\n" + "\n".join(f"{k} = {v}" for k, v in names.items())
              for group, names in project["entry-points"].items()]  # fmt: skip
    (about / "entry_points.txt").write_text("\n".join(groups) + "\n")
    env = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    commands = [small(words) for words in shown_commands(page)]
    for words in commands:
        if words[0] == "eval" and "--model" not in words:  # the default is downloaded
            words += ["--model", str(model)]
    checks = """
import numpy as np, torch
import llm_icl
from llm_icl.learners import learners
from local_models.architectures import find
problems = llm_icl.draw(task="majority", n=3, points=12, problems=20)
said = learners.get("memory")(otherwise=1).answer(problems).prediction
for xs, shown, row in zip(problems.xs, problems.shown, said):
    for k in range(12):
        before = [shown[j] for j in range(k) if (xs[j] == xs[k]).all()]
        assert row[k] == (before[0] if before else 1)
(mixer,) = find("moving-average").build(8, 1, 20, {})
mixer.decay.data.normal_()
x = torch.randn(2, 7, 8)
torch.testing.assert_close(mixer(x), mixer.unroll(x))
"""
    done = run_all(commands, tmp_path, [checks], env)
    assert done.returncode == 0, done.stderr
    assert "moving-average" in done.stdout


JOB = DOCS / "guide" / "llm-icl.sbatch"


@pytest.fixture
def cluster(tmp_path):
    """A folder with the programs that a job calls, as scripts that write down what they were asked."""
    programs = tmp_path / "bin"
    programs.mkdir()
    scripts = {
        # As the real one: at SIGTERM it kills its task.
        "srun": '"$@" &\necho $! > task\ntrap "kill -KILL $!" TERM\nwait $!\nstatus=$?\n'
        "[[ $status == 143 ]] && wait $!\nexit $status",
        "scancel": '[[ "$*" == "--signal=TERM 17.0" ]] && kill -TERM "$(cat task)"',
        "scontrol": 'echo "$@" >> scontrol.txt',
        # Ends at SIGTERM as the real one does, or after a while.
        "llm-icl": 'trap "exit 130" TERM\ntouch started\nfor _ in $(seq $TENTHS); do sleep 0.1; done\nexit $STATUS',
    }
    for name, text in scripts.items():
        (programs / name).write_text(f"#!/bin/bash\n{text}\n")
        (programs / name).chmod(0o755)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "activate").touch()
    return tmp_path


def job(cluster, tenths, status):
    path = f"{cluster / 'bin'}{os.pathsep}{os.environ['PATH']}"
    given = os.environ | {"PATH": path, "SLURM_JOB_ID": "17", "TENTHS": str(tenths), "STATUS": str(status)}
    return subprocess.Popen(["bash", str(JOB)], cwd=cluster, env=given)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGUSR1])
def test_a_job_that_is_told_to_end_is_queued_again(cluster, sent):
    process = job(cluster, 600, 0)
    while not (cluster / "started").exists():
        time.sleep(0.05)
    process.send_signal(sent)
    assert process.wait(30) == 130
    assert (cluster / "scontrol.txt").read_text() == "requeue 17\n"


@pytest.mark.parametrize("status", [0, 1, 2])
def test_a_job_that_ends_by_itself_is_not_queued_again(cluster, status):
    assert job(cluster, 1, status).wait(30) == status
    assert not (cluster / "scontrol.txt").exists()


def test_the_job_is_a_script_whose_warning_is_longer_than_a_request():
    assert subprocess.run(["bash", "-n", str(JOB)]).returncode == 0
    (warning,) = re.findall(r"#SBATCH --signal=B:TERM@(\d+)", JOB.read_text())
    assert int(warning) > 120
    assert len(shown_commands(JOB)) == 1


def test_the_container_is_built_from_what_there_is():
    recipe = (ROOT / "Containerfile").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (extras,) = re.findall(r"pip install .*'/src\[([\w,]+)\]'", recipe)
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    (entry,) = re.findall(r'ENTRYPOINT \["([\w-]+)"\]', recipe)
    assert entry in project["scripts"]
    (python,) = re.findall(r"FROM \S+/python:3\.(\d+)", recipe)
    assert int(python) >= int(project["requires-python"].split(".")[1])
    left_out = (ROOT / ".dockerignore").read_text().split()
    assert not {"llm_icl", "local_models", "tasks", "prompts", "pyproject.toml", "README.md", "LICENSE"} & set(left_out)

"""The site: `make site` builds it with Sphinx from the Markdown pages of this repository, as they are.

Sphinx, because it is kept by many and fails on a link or an anchor that leads nowhere; MyST, so that pages stay
Markdown that code hosts show too; Furo for search, light and dark, and phones, all without another host.
"""

import shutil
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

project = "llm-icl"
version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

extensions = ["myst_parser"]
root_doc = "README"
include_patterns = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**"]
exclude_patterns = [".*", "build", "dist", "outputs", "tests", "llm_icl", "local_models", "**/node_modules"]
source_suffix = {".md": "markdown"}
myst_heading_anchors = 4
# Option names begin with two hyphens, which are not a dash.
smartquotes = False
highlight_language = "bash"
# Reports of the examples have their sections where the program puts them.
suppress_warnings = ["myst.header"]

html_theme = "furo"
html_title = "llm-icl"
html_static_path = ["site"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
html_show_sourcelink = False
pygments_dark_style = "github-dark"

# What is in the contents at the side, by the page that it hangs on; a page that is nowhere fails the build.
CONTENTS = {
    "README": {
        "Start": ["docs/tutorial"],
        "How to": [
            "docs/guide/evaluating",
            "docs/guide/identifying",
            "docs/guide/hosted-models",
            "docs/guide/vllm",
            "docs/guide/slurm",
            "docs/guide/ray",
            "docs/guide/extending",
            "docs/guide/texts",
            "docs/guide/tasks-and-prompts",
            "docs/guide/training",
            "docs/guide/suites",
            "docs/guide/finetuning",
            "docs/guide/language-models",
            "docs/guide/reports",
            "docs/guide/harnesses",
            "docs/guide/sharing",
            "docs/guide/resuming",
            "docs/guide/python",
            "docs/guide/completion",
        ],
        "Understand": [
            "docs/ideas",
            "docs/design/problems",
            "docs/design/bayes",
            "docs/design/curves",
            "docs/design/identification",
            "docs/design/comparisons",
            "docs/design/intervals",
            "docs/design/calls",
            "docs/design/finetuning",
            "docs/design/networks",
            "docs/design/README",
        ],
        "Look up": [
            "docs/reference/commands",
            "docs/reference/tasks",
            "docs/reference/learners",
            "docs/reference/architectures",
            "docs/reference/models",
            "docs/reference/prompts",
            "docs/reference/texts",
            "docs/reference/suites",
            "docs/reference/metrics",
            "docs/reference/measures",
            "docs/reference/files",
            "docs/reference/api",
        ],
        "Results": ["docs/examples/README"],
        "Project": ["docs/README", "CONTRIBUTING", "CHANGELOG"],
    },
    "docs/design/README": {
        "": [
            "docs/design/texts",
            "docs/design/models",
            "docs/design/replies",
            "docs/design/deaths",
            "docs/design/vllm",
            "docs/design/ceilings",
            "docs/design/gpu",
            "docs/design/start",
            "docs/design/reports",
        ]
    },
    "docs/examples/README": {
        "": [str(path.relative_to(ROOT).with_suffix("")) for path in sorted(ROOT.glob("docs/examples/**/report.md"))]
    },
}


def add_contents(app: Any, page: str, source: list[str]) -> None:
    """Pages themselves hold no directives, which code hosts would show as code."""
    for caption, pages in CONTENTS.get(page, {}).items():
        options = [":hidden:", *([f":caption: {caption}"] if caption else [])]
        source[0] += "\n".join(["\n\n```{toctree}", *options, "", *(f"/{one}" for one in pages), "```\n"])


def copy_to_index(app: Any, problem: Exception | None) -> None:
    """The first page under the name that servers and people look for."""
    if problem is None and app.builder.format == "html":
        shutil.copy(app.outdir / "README.html", app.outdir / "index.html")


def setup(app: Any) -> None:
    app.connect("source-read", add_contents)
    app.connect("build-finished", copy_to_index)

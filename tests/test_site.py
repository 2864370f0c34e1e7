"""The site: what it holds is complete, what it shows works, and its pages ask nothing of another host."""

import html.parser
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from llm_icl.backends.catalogue import model_names
from llm_icl.cli.list import KINDS, _lines
from llm_icl.config.options import declared
from llm_icl.experiments.base import experiments
from llm_icl.experiments.finetuning.measures import MEASURES
from llm_icl.function_classes import function_classes
from llm_icl.learners import learners
from llm_icl.reports.terms import TERMS
from local_models.architectures import architectures
from tests.test_documents import _load

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"


def headings(name):
    return set(re.findall(r"^#+ (.*)$", (REFERENCE / f"{name}.md").read_text(encoding="utf-8"), flags=re.MULTILINE))

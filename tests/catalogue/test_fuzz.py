"""The promise to whoever gets case files from elsewhere: none gives a traceback, hangs, or makes a plan that is none.

`GT_EXAMPLES=2000` runs as many mutated files for each of the two tests.
"""

from __future__ import annotations

import copy
import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ci.catalogue import files
from ci.catalogue.files import CASES, Catalogue
from ci.catalogue.selection import Selection, select
from ci.errors import CatalogueError, Mistake, SelectionError
from ci.plan import matrix, slurm
from ci.plan.jobs import plan
from ci.plan.tracing import Tracing
from ci.verbs.options import Folder
from ci.verbs.plan import PlanOnEngine

fuzzed = settings(deadline=10_000, suppress_health_check=list(HealthCheck))

NATIVE = """\
version: 1
source: toys
engine: {repo: owner/toys, command: [make, "{case}"]}
cases:
  one: {suite: s, model: {repo: a/b}, needs: {gpu: h100}, output: {kind: image, format: jpg, name_gpus: 1}}
  two: {suite: s, model: {repo: a/b}, needs: {gpu: b200, minutes: 3}, output: {kind: video, format: png, name_gpus: 2}}
"""
TEXTS = [*((CASES / f"{name}.yaml").read_text() for name in ("smoke", "wan21", "wan22", "ltx")), NATIVE]
PIECES = [
    *(
        "042",
        "4:16",
        "0x10",
        "1_000",
        ".nan",
        "-.inf",
        "1e400",
        "9" * 60,
        "-1",
        "18446744073709551616",
        "yes",
        "~",
        "null",
    ),
    *(
        "2024-01-01",
        "!!python/name:os.system",
        "!!binary x",
        "&a ",
        "*a",
        "<<: ",
        "? [x, y]\n: 1",
        "---\n",
        "...",
        "\t",
        "\n",
    ),
    *(
        "[",
        "]",
        "{",
        "}",
        ": ",
        ", ",
        "- ",
        "'",
        '"',
        "# ",
        "|",
        ">",
        "%",
        "@",
        "`",
        "\0",
        "\x1b[31m",
        "\u202e",
        "\ud800",
        "é",
    ),
    *(
        "../../x",
        "/etc/passwd",
        "con",
        "nul.png",
        ".git",
        "x" * 300,
        "a b",
        "all",
        "official",
        "native",
        "smoke",
        "SMOKE_T2I",
    ),
    *(
        "cases:",
        "source: smoke",
        "engine: {}",
        "version: 1",
        "inputs:",
        "call: {}",
        "extra: {generator: 1}",
        "seed: -1",
    ),
]
SCALARS = [
    *(None, True, 0, -1, 1, 2**63, 2**64, 10**400, 0.5, 1e308, float("nan"), float("inf"), "", " ", "x" * 300),
    *(
        "a\nb",
        "../x",
        "con",
        "\x1b[31m",
        "[/x]",
        "{case}",
        "{",
        "h100",
        "smoke",
        "image",
        "jpg",
        "https://x/a.png",
        "all",
        b"\xff",
    ),
]
values = st.recursive(
    st.sampled_from(SCALARS),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*map(str, SCALARS)]), inner, max_size=3)
    ),
    max_leaves=6,
)


def check(folder: Path, data: bytes) -> None:
    """Take a case file through all that is done before anything runs."""
    (folder / "a.yaml").write_bytes(data)
    mistakes: list[Mistake] = []
    known = None
    try:
        known = files.load(folder, with_inputs=True)
    except CatalogueError as error:
        mistakes = error.mistakes
    assert all(str(mistake).isprintable() and mistake.line >= 1 for mistake in mistakes)
    if known is None:
        return
    for selection in (Selection(official=True), Selection(), Selection(source_group="smoke")):
        check_plan(known, selection)


def check_plan(known: Catalogue, selection: Selection) -> None:
    """What is valid is planned, and the matrix is JSON that is read back with the same cases."""
    try:
        cases = select(known, selection)
    except SelectionError:
        return
    json.dumps([case.data() for case in cases], allow_nan=False)
    for per_case in (False, True):
        jobs = plan(cases, per_case=per_case)
        text = json.dumps(matrix.data_of(matrix.grouped(jobs)), allow_nan=False)
        entries = matrix.entries(text, matrix.Entry)
        assert sorted(name for entry in entries for name in entry.cases) == sorted(case.id for case in cases)
        assert all(slurm.script(each, slurm.Site(), "", Path("folder"), ["gt"]) for each in slurm.arrays(jobs))
    shown = PlanOnEngine(official=selection.official, source_group=selection.group, cases=Folder(cases[0].file.parent))
    assert all(line.isprintable() for line in shown.run().text.split("\n"))
    assert Tracing().bytes(case for case in cases if case.serving is None) >= 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cases")
    shutil.copytree(CASES / "inputs", folder / "inputs")
    return folder


@fuzzed
@given(
    text=st.sampled_from(TEXTS),
    edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), st.sampled_from(PIECES)), min_size=1, max_size=4),
)
def test_no_change_of_a_case_files_text_gives_a_traceback(
    folder: Path, text: str, edits: list[tuple[float, int, str]]
) -> None:
    for where, cut, piece in edits:
        at = int(where * len(text))
        text = text[:at] + piece + text[at + cut :]
    check(folder, text.encode("utf-8", "surrogatepass"))


@fuzzed
@given(text=st.sampled_from(TEXTS), value=values, key=st.none() | st.sampled_from(PIECES), order=st.randoms())
def test_no_value_at_any_place_of_a_case_file_gives_a_traceback(
    folder: Path, text: str, value: Any, key: str | None, order: random.Random
) -> None:
    content = copy.deepcopy(yaml.safe_load(text))
    node, place = content, order.choice(list(content))
    while isinstance(node[place], dict | list) and node[place] and order.random() < 0.8:
        node = node[place]
        place = order.choice(list(node) if isinstance(node, dict) else range(len(node)))
    if isinstance(node, dict) and key is not None:
        node[key] = node.pop(place) if order.random() < 0.5 else value
    else:
        node[place] = value
    check(folder, yaml.safe_dump(content, allow_unicode=True).encode("utf-8", "surrogatepass"))

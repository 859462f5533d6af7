"""docs/start/dagger.md on a real engine: the first calls, the snippet in another module."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from ci.run.dagger_interface import CALL
from tests.ci_systems.github import snapshot
from tests.conftest import ROOT
from tests.engine.conftest import Call, call_of
from tests.support.pages import DOCS, blocks, words

FILES = {"smoke_t2i_1gpu.jpg", "smoke_ti2i_1gpu.jpg", "smoke_t2v_1gpu_frame_0.png"}
PROJECT = """[project]
name = "mine"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["dagger-io"]

[tool.uv.sources]
dagger-io = {path = "sdk", editable = true}

[build-system]
requires = ["uv_build>=0.9,<0.14"]
build-backend = "uv_build"

[tool.uv.build-backend]
module-name = "mine"
module-root = ""

[project.entry-points."dagger.mod"]
main_object = "mine:Mine"
"""


def test_the_smoke_calls_of_the_pages_run_as_they_stand(call: Call, tmp_path: Path) -> None:
    typed: dict[tuple[str, ...], None] = {}  # each once: with and without -m they are the same here
    for block in (each for each in blocks("console") if "--source-group smoke" in each.text):
        calls = (line for line in block.commands if line.startswith(CALL))
        for command in (line for line in calls if "--source-group smoke" in line or " verdict " in line):
            _, _, *own = words(command)
            typed[tuple(own[2:] if own[0] == "-m" else own)] = None
    assert [verb for verb, *_ in typed][:2] == ["generate", "verdict"]
    for arguments in typed:
        called = call(*(str(tmp_path / "gt") if word == "gt" else word for word in arguments))
        assert called.status == 0, called.err[-3000:]
    assert {path.name for path in (tmp_path / "gt").iterdir()} >= FILES


@pytest.mark.long
def test_the_snippet_calls_the_module_from_another_one(engine: str, tmp_path: Path) -> None:
    (snippet,) = (block.text for block in blocks("python", page=DOCS / "start" / "dagger.md"))
    subprocess.run(["git", "init", "-q"], cwd=snapshot(tmp_path), check=True)
    mine = tmp_path / "mine"
    (mine / "mine").mkdir(parents=True)
    (mine / "mine" / "__init__.py").write_text(snippet)
    (mine / "pyproject.toml").write_text(PROJECT)
    version = json.loads((ROOT / "dagger.json").read_text())["engineVersion"]
    module = {"name": "mine", "engineVersion": version, "sdk": {"source": "python"}, "source": "."}
    module["dependencies"] = [{"name": "diffusion-gt", "source": ".."}]
    (mine / "dagger.json").write_text(json.dumps(module))
    called = call_of(mine, "reference", "-o", str(tmp_path / "gt"))
    assert called.status == 0, called.err[-3000:]
    assert {path.name for path in (tmp_path / "gt").iterdir()} >= FILES

"""docs/start/dagger.md on a real engine: what the engine sees, the first calls, the snippet in another module."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from tests.ci_systems.github import snapshot
from tests.conftest import ROOT
from tests.engine.conftest import Call, dagger
from tests.support.interface import functions
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


def test_the_engine_lists_the_functions_that_the_documents_are_checked_against(engine: None) -> None:
    listed = dagger("functions", "-m", str(ROOT))
    assert listed.status == 0, listed.err
    rows = dict(re.findall(r"^([a-z][a-z-]+) +(\S.*)$", listed.out, re.MULTILINE))
    assert rows.keys() == functions().keys()
    told = dagger("call", "-m", str(ROOT), "generate", "--help").out
    assert set(re.findall(r"^ +(--[a-z-]+)", told, re.MULTILINE)) >= functions()["generate"].keys()


def test_the_smoke_calls_of_the_pages_run_as_they_stand(call: Call, tmp_path: Path) -> None:
    done: list[str] = []
    for block in (each for each in blocks("console") if "--source-group smoke" in each.text):
        place = tmp_path / str(len(done))
        calls = (line for line in block.commands if line.startswith("dagger call"))
        for command in (line for line in calls if "--source-group smoke" in line or " verdict " in line):
            _, _, *typed = words(command)
            own = typed[2:] if typed[0] == "-m" else typed
            called = call(*(str(place) if word == "gt" else word for word in own))
            assert called.status == 0, called.err[-3000:]
            done.append(own[0])
        assert not place.exists() or {path.name for path in place.iterdir()} >= FILES
    assert {"generate", "verdict"} <= set(done)


def test_the_snippet_calls_the_module_from_another_one(engine: None, tmp_path: Path) -> None:
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
    called = dagger("call", "-m", str(mine), "reference", "-o", str(tmp_path / "gt"))
    assert called.status == 0, called.err[-3000:]
    assert {path.name for path in (tmp_path / "gt").iterdir()} >= FILES

"""The examples for other CIs, executed as they stand in their files, with a stand-in for the Dagger CLI."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ci_systems.conftest import tool
from tests.ci_systems.other import CASES, MODULE, Machine
from tests.conftest import ROOT

EXAMPLES = ROOT / "examples"
SHELL = EXAMPLES / "shell" / "gt.sh"
BUILDKITE = EXAMPLES / "buildkite" / "pipeline.yml"
JENKINS = EXAMPLES / "jenkins" / "Jenkinsfile"
DATA = "https://git.example/data"
SECRETS = {"HF_TOKEN": "hf_word", "GT_PUBLISH_TOKEN": "publish_word"}


@dataclass(frozen=True)
class Outcome:
    """How a pipeline ended."""

    green: bool
    output: str


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "machine")


# Each runs an example whole, with settings by the names of the examples' variables.
Run = Callable[..., Outcome]


def shell(machine: Machine, **settings: str) -> Outcome:
    env = {"GT_MODULE": MODULE, **SECRETS, **settings}
    ids = env.pop("GT_CASE_IDS", "")
    selected = ["--source-group=smoke", "--hf-token=env:HF_TOKEN", *([f"--case-ids={ids}"] if ids else [])]
    done = machine.run(str(SHELL), *selected, env=env)
    return Outcome(done.returncode == 0, done.stdout + done.stderr)


AGENT = r"""
cd "$GT_BUILDKITE/artifacts"
case "$1 $2" in
  "artifact upload") cp "$OLDPWD/$3" . ;;
  "artifact download") find . -path "./${3%\*}*" -type f -print -exec cp --parents {} "$OLDPWD/$4" \; | grep . ;;
  "pipeline upload") "$GT_REAL_AGENT" "${@:1:3}" --dry-run "$OLDPWD/$4" >> "$GT_BUILDKITE/uploaded.json" ;;
  "annotate ") cat ;;
  *) exit 99 ;;
esac
"""


def buildkite(machine: Machine, **settings: str) -> Outcome:
    """Steps as `buildkite-agent pipeline upload` reads them, executed as its bootstrap does."""
    tool("jq")
    agent = tool("buildkite-agent")
    folder = machine.folder / "buildkite"
    (folder / "artifacts").mkdir(parents=True)
    machine.program("buildkite-agent", AGENT)
    build = {"GT_BUILDKITE": str(folder), "GT_REAL_AGENT": agent, "BUILDKITE_AGENT_ACCESS_TOKEN": "not-needed"}
    build |= {"BUILDKITE_BUILD_URL": "https://buildkite.example/1", "GT_SOURCE_GROUP": "smoke", **SECRETS, **settings}
    read = machine.run(agent, "pipeline", "upload", "--dry-run", str(BUILDKITE), env=build)
    pipeline = json.loads(read.stdout)
    build |= pipeline["env"] | {"GT_MODULE": MODULE}
    steps, passed, output = deque(pipeline["steps"]), dict[str, bool](), ""
    while steps:
        step = steps.popleft()
        if "wait" in step:
            if not all(passed.values()) and not step.get("continue_on_failure"):
                break
            continue
        name = step.get("key", step["label"])
        if passed.setdefault(name, _may_start(step, passed)):
            done = _step(machine, name, step, build)
            output, passed[name] = output + done.stdout + done.stderr, done.returncode == 0
        if (folder / "uploaded.json").exists():  # its steps come right after the one that uploads them
            steps.extendleft(reversed(json.loads((folder / "uploaded.json").read_text())["steps"]))
            (folder / "uploaded.json").unlink()
    return Outcome(all(passed.values()), output)


def _may_start(step: dict[str, Any], passed: dict[str, bool]) -> bool:
    needs = step.get("depends_on") or []
    needs = [{"step": needs}] if isinstance(needs, str) else needs
    return all(passed[need["step"]] or need.get("allow_failure", False) for need in needs)


def _step(machine: Machine, name: str, step: dict[str, Any], build: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a step in a folder of its own, and upload its artifacts."""
    folder = machine.work / name
    folder.mkdir()
    script = f"cd {shlex.quote(name)} && exec bash -e -c {shlex.quote(step['command'])}"
    done = machine.run("bash", "-c", script, env=build | step.get("env", {}))
    paths = step.get("artifact_paths") or []
    for file in (file for path in ([paths] if isinstance(paths, str) else paths) for file in folder.glob(path)):
        target = machine.folder / "buildkite" / "artifacts" / file.relative_to(folder)
        if file.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    return done


def jenkins(machine: Machine, **settings: str) -> Outcome:
    parameters = {"GT_OFFICIAL": False, "GT_SOURCE_GROUP": "smoke", "GT_MODULE": MODULE, **settings}
    (machine.folder / "parameters.json").write_text(json.dumps(parameters))
    credentials = {"gt-hf-token": SECRETS["HF_TOKEN"], "gt-publish-token": SECRETS["GT_PUBLISH_TOKEN"]}
    (machine.folder / "credentials.json").write_text(json.dumps(credentials))
    stand_in = str(Path(__file__).with_name("jenkins.groovy"))
    folder = machine.folder / "jenkins"
    folder.mkdir()
    files = [str(machine.folder / f"{name}.json") for name in ("parameters", "credentials")]
    quick = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # what a program that runs for seconds needs
    java = {"JAVA_HOME": str(Path(tool("java")).resolve().parents[1]), "JAVA_OPTS": quick}
    home = {**java, "BUILD_URL": "https://jenkins.example/1"}
    done = machine.run(tool("groovy"), stand_in, str(JENKINS), str(folder), *files, env=home)
    return Outcome(done.returncode == 0, done.stdout + done.stderr)


every = pytest.mark.parametrize("run", [shell, buildkite, jenkins])
with_matrix = pytest.mark.parametrize("run", [buildkite, jenkins])


@every
def test_it_generates_judges_and_ends_in_a_verdict(machine: Machine, run: Run) -> None:
    ended = run(machine)
    assert ended.green, ended.output
    assert set(machine.verbs) - {"matrix", "collect"} == {"generate", "summary", "check", "verdict"}
    assert machine.verbs[-1] == "verdict"
    for options in machine.options("generate"):
        assert {"--source-group=smoke", "--hf-token=env:HF_TOKEN"} <= set(options)
    assert "### Ground truth: 3 of 3 cases" in ended.output
    assert not [call for call in machine.calls if re.search("hf_word|publish_word", json.dumps(call["options"]))]


@with_matrix
def test_each_job_of_the_matrix_generates_its_own_cases_and_all_are_collected(machine: Machine, run: Run) -> None:
    ended = run(machine)
    assert ended.green, ended.output
    selections = [next(o for o in options if o.startswith("--case-ids=")) for options in machine.options("generate")]
    assert sorted(selections) == sorted(f"--case-ids={case}" for case in CASES)
    assert machine.verbs.index("collect") == 4


@every
def test_a_case_that_failed_ends_red_when_all_else_is_done(machine: Machine, run: Run) -> None:
    machine.gives({"smoke_t2i": "ok", "smoke_ti2i": "failed", "smoke_t2v": "ok"})
    ended = run(machine, GT_PUBLISH=DATA)
    assert not ended.green
    assert "### Ground truth: 2 of 3 cases" in ended.output
    assert machine.verbs[-2:] == ["publish", "verdict"]


@with_matrix
def test_a_job_that_breaks_leaves_the_rest_whole(machine: Machine, run: Run) -> None:
    machine.breaks("--case-ids=smoke_t2v")
    ended = run(machine, GT_PUBLISH=DATA)
    assert not ended.green
    assert "### Ground truth: 2 of 3 cases" in ended.output
    assert machine.verbs[-1] == "verdict"


@every
def test_an_artifact_that_is_not_sound_is_not_published(machine: Machine, run: Run) -> None:
    machine.breaks(" check ")
    assert not run(machine, GT_PUBLISH=DATA).green
    assert "publish" not in machine.verbs
    assert machine.verbs[-1] == "verdict"


@every
def test_published_ground_truth_is_compared_with_and_a_sound_artifact_is_published(machine: Machine, run: Run) -> None:
    published = f"{DATA}#main:gt"
    ended = run(machine, GT_PUBLISHED=published, GT_PUBLISH=DATA, GT_PUBLISH_BRANCH="gt/try")
    assert ended.green, ended.output
    assert f"--published={published}" in machine.options("check")[0]
    assert f"--published={published}" in machine.options("compare")[0]
    assert {f"--to={DATA}", "--token=env:GT_PUBLISH_TOKEN", "--branch=gt/try"} <= set(machine.options("publish")[0])
    assert any(option.startswith("--ref=") for option in machine.options("publish")[0])
    assert not machine.unknown


@every
def test_a_hostile_setting_is_a_word_and_runs_nothing(machine: Machine, run: Run) -> None:
    run(machine, GT_CASE_IDS="smoke_t2i", GT_PUBLISHED=machine.hostile, GT_PUBLISH=machine.hostile)
    assert not machine.canary.exists()
    assert f"--published={machine.hostile}" in machine.options("check")[0]
    assert f"--to={machine.hostile}" in machine.options("publish")[0]


@with_matrix
def test_hostile_case_ids_are_a_word_and_start_nothing(machine: Machine, run: Run) -> None:
    assert not run(machine, GT_CASE_IDS=machine.hostile).green
    assert not machine.canary.exists()
    assert "--case-ids=" + re.sub(r"\s", ",", machine.hostile) in machine.options("matrix")[0]
    assert machine.verbs == ["matrix"]


def test_the_script_mixes_nothing_stale_into_an_artifact(machine: Machine) -> None:
    (machine.work / "gt").mkdir()
    ended = shell(machine)
    assert "gt is there already" in ended.output
    assert machine.verbs == []


def test_the_buildkite_pipeline_is_what_buildkite_takes(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(yaml.safe_dump({"steps": [{"command": "x", "artefact_paths": 3}]}))
    for file, status in ((BUILDKITE, 0), (wrong, 1)):
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.buildkite", str(file)]
        assert subprocess.run(command, capture_output=True, check=False).returncode == status


def scripts() -> Iterator[tuple[str, str]]:
    """The shell in each example, as the shell gets it."""
    yield "bash", SHELL.read_text()
    pipeline = yaml.safe_load(BUILDKITE.read_text())
    for text in (pipeline["env"]["GT_GENERATE"], *(step["command"] for step in pipeline["steps"] if "command" in step)):
        yield "bash", text.replace("$$", "$")
    for texts in re.findall(r"sh\(CALL \+ (?:'''(.*?)'''|'([^'\n]+)')\)", JENKINS.read_text(), re.DOTALL):
        yield "sh", "".join(texts)


def test_scripts_are_clean_to_shellcheck(shellcheck: str) -> None:
    for language, text in scripts():
        command = [shellcheck, f"--shell={language}", "-"]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
    jenkins, commands = (
        len(re.findall(r"\bsh\b\s*['(\"]", JENKINS.read_text())),
        BUILDKITE.read_text().count("command: |"),
    )
    assert len(list(scripts())) == 2 + jenkins + commands


def test_no_value_is_pasted_into_a_script() -> None:
    assert not re.search(r'\bsh\s*\(?\s*"', JENKINS.read_text())
    assert not re.search(r"(?<![$\\])\$(?!\$)", re.sub(r"\$\$", "", BUILDKITE.read_text().split("\nsteps:")[0]))
    assert not re.search(r"(?<!\$)\$(?!\$)", BUILDKITE.read_text().replace("$$", ""))

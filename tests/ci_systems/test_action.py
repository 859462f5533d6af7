"""action.yml, its steps executed as they stand there, with a stand-in for the Dagger CLI that keeps its calls."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci.main import DiffusionGt
from ci.verbs.choices import GpuKind
from tests.ci_systems.github import GitHub, WorkflowRun, load
from tests.ci_systems.stand_in import VERSION, StandIn
from tests.conftest import ROOT
from tests.support.git_server import Fault, GitServer, bare

ACTION = load(ROOT / "action.yml")
TOKEN, PUBLISH_TOKEN = "hf_of_this_test", "publish_token_of_this_test"
PUBLISH = {"publish": "https://git.example/data", "publish_token": "${{ secrets.PUBLISH }}"}
GENERATE = {  # inputs that only `generate` takes
    "previous": "old gt",
    "fresh": "true",
    "max_minutes": "90",
    "hf_token": "${{ secrets.HF }}",
    "hosts": "h100=tls://a:1, h200=tls://b:2\n5090=tls://c:3",
    "fleet": "fleet.yaml",
    "tls_ca": "CA\nlines",
    "tls_cert": "CERT",
    "tls_key": "KEY",
    "insecure_hosts": "true",
    "engine": "../sglang",
    "engine_ref": "v1 or so",
}
# Each of these ends the run where the stand-ins see it; the others are for the real CLI and services to refuse.
FETCH = {"fetch", "fetch-gpu", "fetch-locked", "fetch-token"}  # with these, nothing is made
CHECKED = {"official", "case-ids", "source-group", "cases", "per-case", "output", "gpu", "artifact-name"}
HOSTILE = [
    "--official=true",
    'x"; touch {canary}; #',
    "$(touch {canary})",
    "`touch {canary}`",
    "' || touch {canary} || '",
    "x\ntouch {canary}\n",
    "x\nmatrix=pwned\ncase_count=pwned",
    "-o /",
    "${{IFS}}",
]


@dataclass(frozen=True)
class ActionRun:
    """What the action did."""

    ran: WorkflowRun
    machine: StandIn

    @property
    def calls(self) -> list[dict[str, Any]]:
        return self.machine.calls

    @property
    def verbs(self) -> list[str]:
        return self.machine.verbs

    def options(self, verb: str) -> list[str]:
        (options,) = self.machine.options(verb)
        return options

    @property
    def result(self) -> str:
        return self.ran.result("gt")

    @property
    def outputs(self) -> dict[str, str]:
        """The action's outputs, as a later step of the caller reads them."""
        outputs: dict[str, str] = json.loads(self.ran.log("after"))
        return outputs


@dataclass(frozen=True)
class Machine(StandIn):
    """A runner machine."""

    github: GitHub

    def __post_init__(self) -> None:
        super().__post_init__()
        shutil.copy(self.folder / "bin" / "dagger", self.folder)  # what Dagger's script installs
        self.gives({"smoke_t2i": "ok", "smoke_t2v": "ok"})
        self.program("curl", 'printf "%s\\n" "$@" > "$GT_DAGGER/asked"; cat > "$GT_DAGGER/header"; printf 200')

    def run(self, before: str = "true", version: str = VERSION, **inputs: str) -> ActionRun:
        """Run a workflow of one job: a script, and the action. `_` in an input's name stands for `-`."""
        with_inputs = {name.replace("_", "-"): value for name, value in inputs.items()}
        environment = {"OUTPUTS": "${{ toJSON(steps.gt.outputs) }}"}
        steps = [
            {"run": before},
            {"id": "gt", "uses": "OWNER/diffusion-gt@v1", "with": with_inputs},
            {"id": "after", "if": "always()", "env": environment, "run": 'printf %s "$OUTPUTS"'},
        ]
        job = {"runs-on": "ubuntu-latest", "steps": steps}
        text = yaml.safe_dump({"on": "workflow_dispatch", "jobs": {"job": job}})
        secrets = {"HF": TOKEN, "PUBLISH": PUBLISH_TOKEN}
        return ActionRun(self.github.run(text, secrets=secrets, env=self.env(version)), self)

    def env(self, version: str = VERSION) -> dict[str, str]:
        """The environment of the machine."""
        path = f"{self.folder / 'bin'}:/usr/bin:/bin"
        return {"PATH": path, "GT_DAGGER": str(self.folder), "GT_DAGGER_VERSION": version}


@pytest.fixture
def machine(github: GitHub, tmp_path: Path) -> Machine:
    return Machine(tmp_path / "machine", github)


def test_a_run_gives_the_artifact_its_counts_and_a_table_of_cases(machine: Machine) -> None:
    acted = machine.run(source_group="smoke", artifact_name="gt-smoke", case_ids="smoke_t2i\nsmoke_t2v")
    assert acted.result == "success", acted.ran.log()
    outputs = acted.outputs
    assert outputs["artifact-path"].endswith("/gt")
    assert outputs["manifest"] == outputs["artifact-path"] + "/manifest.json"
    assert (outputs["case-count"], outputs["failed-count"]) == ("2", "0")
    uploaded = acted.ran.artifact("gt-smoke")
    assert {file.name for file in uploaded.iterdir()} == {file.name for file in (machine.folder / "gt").iterdir()}
    assert "### Ground truth: 2 of 2 cases" in acted.ran.summary
    assert f"]({outputs['artifact-url']})" in acted.ran.summary
    (upload,) = acted.ran.calls("actions/upload-artifact")
    assert (upload["retention-days"], upload["if-no-files-found"]) == ("7", "error")


def test_the_module_is_loaded_for_few_calls_three_at_most(machine: Machine) -> None:
    assert machine.run(source_group="smoke").verbs == ["generate", "summary"]
    (machine.folder / "calls.jsonl").unlink()
    assert machine.run(source_group="smoke", **PUBLISH).verbs == ["generate", "summary", "publish"]


def test_a_failed_case_makes_the_step_red_after_the_artifact_is_whole_and_told(machine: Machine) -> None:
    machine.gives({"smoke_t2i": "ok", "smoke_t2v": "failed"})
    acted = machine.run(source_group="smoke", artifact_name="gt", **PUBLISH)
    assert (acted.ran.status, acted.result) == (1, "failure")
    assert acted.ran.result("gt", "verdict") == "failure"
    assert acted.verbs == ["generate", "summary"]  # nothing is published
    assert (acted.outputs["case-count"], acted.outputs["failed-count"]) == ("2", "1")
    assert (acted.ran.artifact("gt") / "manifest.json").exists()
    assert "❌ failed" in acted.ran.summary
    assert acted.ran.log("gt", "verdict") == "smoke_t2v: failed: broken on purpose\n"


def test_a_file_that_is_not_the_manifests_makes_the_step_red_and_is_not_published(machine: Machine) -> None:
    (machine.folder / "gt" / "smoke_t2v_1gpu.png").unlink()
    acted = machine.run(source_group="smoke", **PUBLISH)
    assert (acted.result, acted.verbs) == ("failure", ["generate", "summary"])
    assert "smoke_t2v_1gpu.png: missing" in acted.ran.log("gt", "verdict")


def test_inputs_become_arguments_word_for_word(machine: Machine) -> None:
    acted = machine.run(
        official="true",
        case_ids=" a, b\n\nc ",
        source_group="diffusers",
        cases="my cases",
        on="5090",
        per_case="true",
        output="out/gt",
        **GENERATE,
    )
    selected = ["--official=true", "--source-group=diffusers", "--on=rtx5090", "--per-case=true"]
    selected += ['--case-ids="a"', '--case-ids="b"', '--case-ids="c"', "--cases=my cases"]
    assert acted.options("generate")[: len(selected)] == selected
    assert acted.calls[1:] == [], "the stand-in refuses these cases, so nothing comes after"


def test_what_generate_gets_is_named_by_the_module(machine: Machine) -> None:
    acted = machine.run(
        source_group="smoke",
        **GENERATE,
    )
    assert acted.result == "success", acted.ran.log()
    selected = ["--official=false", "--source-group=smoke", "--on=needed", "--per-case=false"]
    assert acted.options("generate") == [
        *selected,
        *("--fresh=true", "--max-minutes=90", "--insecure-hosts=true", "--previous=old gt", "--fleet=fleet.yaml"),
        *("--engine=../sglang", "--engine-ref=v1 or so"),
        *('--host="h100=tls://a:1"', '--host="h200=tls://b:2"', '--host="5090=tls://c:3"'),
        *("--hf-token=env:HF_TOKEN", "--tls-ca=env:TLS_CA", "--tls-cert=env:TLS_CERT", "--tls-key=env:TLS_KEY"),
        f"--output={acted.outputs['artifact-path']}",
    ]
    env = acted.calls[0]["env"]
    secrets = [env[name] for name in ("HF_TOKEN", "TLS_CA", "TLS_CERT", "TLS_KEY")]
    assert secrets == [TOKEN, "CA\nlines", "CERT", "KEY"]


@pytest.mark.parametrize("kind", ["h100-pcie", "5090", "cpu"])
def test_a_gpu_kind_is_written_as_the_cli_takes_it(machine: Machine, kind: str) -> None:
    on = machine.run(source_group="smoke", on=kind).options("generate")[2].removeprefix("--on=")
    assert GpuKind[on.upper()].value == kind


def test_inputs_that_are_empty_mean_the_defaults(machine: Machine) -> None:
    empty = dict.fromkeys((str(name).replace("-", "_") for name in ACTION["inputs"]), "")
    acted = machine.run(**{**empty, "source_group": "smoke"})
    assert acted.result == "success", acted.ran.log()
    assert acted.options("generate")[:-1] == [
        *("--official=false", "--source-group=smoke", "--on=needed", "--per-case=false"),
        *("--fresh=false", "--max-minutes=0", "--insecure-hosts=false"),
    ]
    assert acted.ran.calls("actions/upload-artifact") == []
    assert acted.outputs["artifact-path"].endswith("/gt")


@pytest.mark.parametrize(
    "names",
    [*([name] for name in sorted(CHECKED)), sorted(ACTION["inputs"].keys() - CHECKED - FETCH)],
    ids=str,
)
def test_hostile_text_in_any_input_is_refused_or_one_word_and_never_run(machine: Machine, names: list[str]) -> None:
    canary = machine.folder / "canary"
    text = "\n".join(HOSTILE).format(canary=canary)
    hostile = {name.replace("-", "_"): text for name in names}
    acted = machine.run(**{"source_group": "smoke", **PUBLISH, **hostile})
    assert not canary.exists()
    assert acted.result == ("failure" if names[0] in CHECKED else "success"), acted.ran.log()
    for call in acted.calls:
        options = [option.removeprefix("--").split("=", 1) for option in call["options"]]
        assert {option for option, *_ in options} <= parameters(call["verb"]) | {"output"}
        assert dict(options).get("official", "false") in ("false", text)
    outputs = acted.outputs
    assert outputs["case-count"] != "pwned"


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_ids_and_groups_fail_before_anything_is_generated(machine: Machine, text: str) -> None:
    acted = machine.run(source_group="smoke", case_ids=text.format(canary=machine.folder / "canary"))
    assert acted.result == "failure"
    assert acted.verbs == ["generate"]
    assert "no case is named" in acted.ran.log("gt", "generate")


def parameters(function: str) -> set[str]:
    """The arguments of a function of the module, as options of the CLI."""
    functions = DiffusionGt.__dagger_module__.get_object("DiffusionGt").functions  # type: ignore[attr-defined]
    declared = functions[function.replace("-", "_")].parameters.values()
    return {parameter.name.replace("_", "-") for parameter in declared}


def test_every_option_of_the_action_is_an_argument_of_the_function(machine: Machine) -> None:
    everything = {str(name).replace("-", "_"): "x" for name in ACTION["inputs"] if name not in FETCH}
    words = {"official": "false", "case_ids": "smoke_t2i", "source_group": "smoke", "cases": str(ROOT / "cases")}
    acted = machine.run(**{**everything, **words, "gpu": "auto", "on": "cpu", "per_case": "false"})
    assert acted.verbs == ["generate", "summary", "publish"], acted.ran.log()
    for call in acted.calls:
        names = {option.removeprefix("--").split("=", 1)[0] for option in call["options"]}
        assert names - {"output"} <= parameters(call["verb"]), call["verb"]


def test_secrets_stand_on_no_command_line_and_in_no_log(machine: Machine) -> None:
    acted = machine.run(source_group="smoke", hf_token="${{ secrets.HF }}", **PUBLISH)
    assert acted.result == "success", acted.ran.log()
    for secret in (TOKEN, PUBLISH_TOKEN):
        assert secret not in json.dumps([call["options"] for call in acted.calls])
        assert secret not in acted.ran.log()
    asked = (machine.folder / "asked").read_text()
    assert asked.endswith("\nhttps://git.example/data/info/refs?service=git-receive-pack\n")
    secret = base64.b64encode(f"x-access-token:{PUBLISH_TOKEN}".encode()).decode()
    assert (machine.folder / "header").read_text() == f"Authorization: Basic {secret}\n"
    assert PUBLISH_TOKEN not in asked
    assert secret not in asked + acted.ran.log()
    assert having(acted, PUBLISH_TOKEN) == {"publish"}
    assert having(acted, TOKEN) == {"generate"}


def having(acted: ActionRun, secret: str) -> set[str]:
    """The calls that have a secret in their environment; GitHub gives a composite action no INPUT_…, act does."""
    return {
        call["verb"]
        for call in acted.calls
        if any(value == secret and not name.startswith("INPUT_") for name, value in call["env"].items())
    }


def test_a_whole_artifact_is_published(machine: Machine) -> None:
    acted = machine.run(
        source_group="smoke", publish_target_dir="a dir", publish_branch="b", publish_via="github-api", **PUBLISH
    )
    assert acted.result == "success", acted.ran.log()
    to = ["--to=https://git.example/data", "--via=github_api", "--user="]
    *options, by, token = acted.options("publish")
    (sha,) = [option for option in options if option.startswith("--sha=")]
    assert (by.partition("=")[0], token) == ("--triggered-by", "--token=env:GT_PUBLISH_TOKEN")
    assert options == [
        f"--artifact={acted.outputs['artifact-path']}",
        *(*to, "--branch=b", "--publish-target-dir=a dir", "--bare=false", "--ref=refs/heads/main", sha),
        "--ci-run=https://github.com/OWNER/diffusion-gt/actions/runs/1",
    ]
    assert acted.outputs["commit"] == "0123abc"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    """A git server with a repository, and the machine's own curl to ask it with."""
    root = tmp_path / "served"
    bare(root / "data.git", {"README.md": b"GT"})
    with GitServer(root).serving() as server:
        yield server


def test_the_right_to_write_is_asked_for_before_anything_is_generated(machine: Machine, server: GitServer) -> None:
    (machine.folder / "bin" / "curl").unlink()
    server.watching = True
    server.faults.append(Fault("info/refs", 503))

    def verbs(token: str, path: str = "") -> tuple[list[str], str]:
        (machine.folder / "calls.jsonl").unlink(missing_ok=True)
        acted = machine.run(source_group="smoke", publish=server.url + path, publish_token=token)
        return acted.verbs, acted.ran.log("gt", "access")

    assert verbs(server.token)[0] == ["generate", "summary", "publish"]
    for token in (server.reader, "", "wrong"):
        called, told = verbs(token)
        assert called == []
        assert "publish-token may not write to the repository of publish (HTTP 40" in told
    called, told = verbs(server.token, "-not-there")
    assert called == []
    assert "there is no repository at the address of publish" in told
    assert set(server.asked) >= {"GET /data.git/info/refs?service=git-receive-pack"}
    assert not any(server.token in line for line in server.arguments if "curl" in line)


def test_an_address_where_no_server_is_ends_it_before_anything_is_generated(machine: Machine) -> None:
    (machine.folder / "bin" / "curl").unlink()
    acted = machine.run(source_group="smoke", publish="http://127.0.0.1:9/data")
    assert (acted.result, acted.verbs) == ("failure", [])
    assert "the address of publish does not answer" in acted.ran.log("gt", "access")


def test_published_gt_is_fetched_and_nothing_is_made(machine: Machine) -> None:
    path = machine.folder / "tests of it" / "gt"
    path.mkdir(parents=True)
    for name in ("gt.lock", "stale.PNG", "README.md"):
        (path / name).touch()
    acted = machine.run(
        fetch="https://git.example/data@main:gt",
        fetch_gpu="h100",
        fetch_locked="true",
        fetch_token="${{ secrets.PUBLISH }}",
        case_ids="a, b",
        output=str(path),
    )
    assert acted.result == "success", acted.ran.log()
    assert acted.verbs == ["fetch"]
    *options, output = acted.options("fetch")
    assert options == [
        *("--address=https://git.example/data@main:gt", "--gpu=h100", "--locked=true"),
        *('--case-ids="a"', '--case-ids="b"', f"--lock-file={path}/gt.lock", "--token=env:GT_FETCH_TOKEN"),
    ]
    assert output.startswith("--output=")
    assert {option.removeprefix("--").split("=", 1)[0] for option in options} <= parameters("fetch")
    assert having(acted, PUBLISH_TOKEN) == {"fetch"}
    assert sorted(file.name for file in path.iterdir()) == ["README.md", "a_1gpu.png", "gt.lock"]
    assert acted.outputs["commit"] == "0123abc"


def test_images_that_fetch_did_not_bring_are_not_removed(machine: Machine) -> None:
    acted = machine.run("mkdir gt && touch gt/mine.png", fetch="https://git.example/data@main", output="gt")
    assert (acted.result, acted.calls) == ("failure", [])
    assert "output has images and no gt.lock" in acted.ran.log("gt", "fetch")


def test_hostile_text_in_what_is_fetched_is_one_word_and_never_run(machine: Machine) -> None:
    canary = machine.folder / "canary"
    text = "\n".join(HOSTILE).format(canary=canary)
    acted = machine.run(**{name.replace("-", "_"): text for name in (*FETCH, "case-ids")})
    assert not canary.exists()
    assert acted.result == "success", acted.ran.log()
    names = {option.removeprefix("--").split("=", 1)[0] for option in acted.options("fetch")}
    assert names <= parameters("fetch") | {"output"}


@pytest.mark.parametrize("there", ["", "v0.1.0"])
def test_the_cli_of_the_modules_version_is_installed_by_the_official_script(machine: Machine, there: str) -> None:
    if not there:
        (machine.folder / "bin" / "dagger").unlink()
    install = 'mkdir -p "$BIN_DIR" && cp "$GT_DAGGER/dagger" "$BIN_DIR" && echo "asked for $DAGGER_VERSION"'
    machine.program("curl", f"printf '%s\\n' \"$@\" > $GT_DAGGER/asked; echo '{install}'")
    acted = machine.run(version=there or VERSION, source_group="smoke")
    assert acted.result == "success", acted.ran.log()
    assert "https://dl.dagger.io/dagger/install.sh" in (machine.folder / "asked").read_text().split()
    assert f"asked for {VERSION}\n" in acted.ran.log("gt", "prepare")
    first = acted.calls[0]["env"]["PATH"].split(":")[0]
    assert first.endswith(f"/dagger-{VERSION}")


def test_a_cli_of_that_version_is_taken_as_it_is(machine: Machine) -> None:
    machine.program("curl", "touch $GT_DAGGER/asked")
    assert machine.run(source_group="smoke").result == "success"
    assert not (machine.folder / "asked").exists()


@pytest.mark.parametrize(
    ("gpu", "driver", "support"),
    [("auto", "true", "1"), ("auto", "exit 9", ""), ("true", "exit 9", "1"), ("false", "true", "")],
)
def test_the_engine_gets_gpus_where_the_machine_has_some(machine: Machine, gpu: str, driver: str, support: str) -> None:
    machine.program("nvidia-smi", driver)
    acted = machine.run(source_group="smoke", gpu=gpu)
    assert {call["env"]["_EXPERIMENTAL_DAGGER_GPU_SUPPORT"] for call in acted.calls} == {support}
    assert len(acted.calls) == 2


@pytest.mark.parametrize(
    ("before", "inputs", "message"),
    [
        ("mkdir gt && touch gt/file", {}, "output exists and is not empty"),
        ("touch gt", {}, "output exists and is not empty"),
        ("true", {"output": "gt\nmatrix=x"}, "output has a line break"),
        ("true", {"fetch": "u@r", "publish": "u"}, "fetch brings published GT and makes none"),
        ("true", {"gpu": "yes"}, "gpu must be true, false or auto"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_called(
    machine: Machine, before: str, inputs: dict[str, str], message: str
) -> None:
    acted = machine.run(before, source_group="smoke", **inputs)
    assert acted.result == "failure"
    assert message in acted.ran.log("gt", "prepare")
    assert acted.calls == []


def test_an_empty_directory_takes_the_artifact_and_the_page_stays_empty_where_that_is_asked_for(
    machine: Machine,
) -> None:
    acted = machine.run("mkdir -p new/gt", source_group="smoke", output="new/gt", job_summary="false")
    assert acted.result == "success", acted.ran.log()
    assert acted.outputs["artifact-path"].endswith("/new/gt")
    assert acted.ran.summary == ""
    assert acted.outputs["case-count"] == "2"


def test_this_repositorys_checks_run_the_action_of_the_checkout(machine: Machine) -> None:
    ci = ROOT / ".github" / "workflows" / "ci.yml"
    ran = machine.github.run(ci, event="push", job="action", env=machine.env())
    assert ran.jobs == {"action": "success"}, ran.log()
    acted = ActionRun(ran, machine)
    assert acted.verbs == ["generate", "summary"]
    assert "--on=cpu" in acted.options("generate")
    assert (ran.artifact("smoke") / "manifest.json").exists()

"""Executes workflows as they stand in their files, step by step, with nektos/act on this machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.ci_systems.services import SERVICES
from tests.conftest import ROOT

OURS = "OWNER/diffusion-gt"
Event = dict[str, Any]


@dataclass(frozen=True)
class WorkflowRun:
    """What came of a workflow. A step is named by the ids on the way to it: its own, or its action's and its own.

    A step without an id has its number for one, from "0".
    """

    status: int
    events: list[Event] = field(repr=False)
    services: Path

    def _of(self, step: tuple[str, ...], part: Mapping[str, Any]) -> Iterator[Event]:
        for event in self.events:
            at, entry = tuple(event.get("stepID", ())), event.get("matrix", {})
            if event.get("stage", "Main") == "Main" and at[: len(step)] == step and part.items() <= entry.items():
                yield event

    @cached_property
    def jobs(self) -> dict[str, str]:
        """The result of each job that ran, by its id; of a matrix, as `needs` has it: that of all entries together."""
        return {event["jobID"]: event["jobResult"] for event in self.events if "jobResult" in event}

    def result(self, *step: str, **part: Any) -> str:
        """`success` or `failure`; empty where it did not run. `part` is of an entry of the matrix."""
        results = [e["stepResult"] for e in self._of(step, part) if "stepResult" in e and tuple(e["stepID"]) == step]
        return str(results[-1]) if results else ""

    def log(self, *step: str, **part: Any) -> str:
        """What a step, or everything, printed; workflow commands as they were written."""
        events = list(self._of(step, part))
        return "".join(event.get("raw") or event["msg"] for event in events if {"raw", "raw_output"} & event.keys())

    def outputs(self, *step: str, **part: Any) -> dict[str, str]:
        """The outputs of a step."""
        events = [e for e in self._of(step, part) if e.get("command") == "set-output" and tuple(e["stepID"]) == step]
        return {event["name"]: event["arg"] for event in events}

    @property
    def summary(self) -> str:
        """The job summaries, in the order in which they were written."""
        return "".join(event["content"] for event in self.events if event.get("command") == "summary")

    def artifact(self, name: str) -> Path:
        """The folder of an uploaded artifact."""
        return self.services / "artifacts" / name

    def calls(self, action: str) -> list[dict[str, str]]:
        """The inputs of each call of a service."""
        file = self.services / "calls.jsonl"
        calls = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return [call["inputs"] for call in calls if call["action"] == action]


@dataclass
class GitHub:
    """A stand-in for GitHub with one repository: this checkout, which `uses: OWNER/diffusion-gt@…` gets too."""

    act: str
    folder: Path
    repository: Path  # what a checkout gives

    def run(
        self,
        workflow: str | Path,
        *,
        event: str = "workflow_dispatch",
        inputs: Mapping[str, Any] | None = None,
        secrets: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        job: str | None = None,
        timeout: float = 120,
    ) -> WorkflowRun:
        """Execute a workflow: a file of .github/workflows, or the text of one. `env` is the runner machine's."""
        services = self.folder / "services"
        shutil.rmtree(self.folder, ignore_errors=True)
        services.mkdir(parents=True)
        (services / "repository").symlink_to(self.repository)
        text = workflow.read_text() if isinstance(workflow, Path) else workflow
        name = workflow.name if isinstance(workflow, Path) else "test.yml"
        origin = self._origin(name, text)
        (self.folder / "event.json").write_text(json.dumps({"inputs": inputs or {}}))
        (self.folder / "secrets.yml").write_text(json.dumps(secrets or {}))
        here = {"GT_SERVICES": str(services), **(env or {})}
        command = [
            *(self.act, event, "-C", str(origin), "-W", f".github/workflows/{name}", "--json", "--no-skip-checkout"),
            *("--no-cache-server", "--env-file", "/dev/null", "--eventpath", str(self.folder / "event.json")),
            *(["--job", job] if job else []),
            *(part for label in self._labels(text) for part in ("--platform", f"{label}=-self-hosted")),
            *(part for uses, folder in self._actions().items() for part in ("--local-repository", f"{uses}={folder}")),
            *(part for key, value in here.items() for part in ("--env", f"{key}={value}")),
            *("--secret-file", str(self.folder / "secrets.yml")),
            *(part for key, value in (variables or {}).items() for part in ("--var", f"{key}={value}")),
        ]
        own = {"HOME": str(self.folder / "home"), "XDG_CACHE_HOME": str(self.folder / "cache")}
        path = {"PATH": (env or {}).get("PATH", os.environ["PATH"])}
        with subprocess.Popen(
            command,
            env={**own, **path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                out, _ = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                raise
        events = [json.loads(line) if line.startswith("{") else {"msg": line} for line in out.splitlines()]
        shutil.rmtree(self.folder / "cache", ignore_errors=True)
        return WorkflowRun(process.returncode, events, services)

    def _origin(self, name: str, text: str) -> Path:
        """A git repository with the workflows: act takes its name, ref and commit for the run's."""
        origin = self.folder / "origin"
        workflows = origin / ".github" / "workflows"
        if (self.repository / ".github").is_dir():
            shutil.copytree(self.repository / ".github", origin / ".github")
        workflows.mkdir(parents=True, exist_ok=True)
        (workflows / name).write_text(text)
        who = ("-c", "user.name=test", "-c", "user.email=test@example.com")
        remote = f"https://github.com/{OURS}.git"
        for command in (["init", "-q", "-b", "main"], ["add", "-A"], [*who, "commit", "-qm", "test"]):
            subprocess.run(["git", *command], cwd=origin, check=True, capture_output=True)
        subprocess.run(["git", "remote", "add", "origin", remote], cwd=origin, check=True)
        return origin

    def _labels(self, text: str) -> set[str]:
        """Every runner label that the workflow or a matrix of ours can name: all of them are this machine."""
        from ci.catalogue.gpus import GPU_KINDS  # noqa: PLC0415

        ours = {f"{count}-gpu-{kind}" for kind in (*GPU_KINDS, "cpu") for count in (1, 2, 4, 8)}
        return {"ubuntu-latest", *ours, *re.findall(r"runs-on: *([\w.-]+) *$", text, re.MULTILINE)}

    def _actions(self) -> dict[str, Path]:
        """A folder for each `uses:` of the workflows and of our action; one that nothing stands in for is an error."""
        workflows = (self.folder / "origin" / ".github" / "workflows").glob("*.yml")
        run = [path for path in workflows if path.name != "docs.yml"]  # nothing stands in for GitHub Pages
        files = [*run, self.repository / "action.yml"]
        folders: dict[str, Path] = {}
        for step in (step for file in files if file.exists() for step in steps(load(file))):
            uses = step.get("uses", "./")
            name, _, _ = uses.partition("@")
            if uses.startswith("./"):
                continue
            if name == OURS:
                folders[uses] = self.repository
                continue
            service = SERVICES[name]
            unknown = set(step.get("with", {})) - set(service.inputs)
            assert not unknown, f"{uses} has no input {unknown}"
            folders[uses] = self.folder / "actions" / name
            folders[uses].mkdir(parents=True, exist_ok=True)
            (folders[uses] / "action.yml").write_text(service.action(name))
        return folders


def load(path: Path) -> dict[str, Any]:
    """A workflow or action, read by YAML 1.2 as GitHub does: `on` is a word there, and no boolean."""
    document: dict[str, Any] = YAML(typ="safe", pure=True).load(path)
    return document


def steps(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every step of a workflow's jobs, or of a composite action."""
    bodies = [*document.get("jobs", {}).values(), document.get("runs", {})]
    return [step for body in bodies for step in body.get("steps", [])]


def snapshot(target: Path) -> Path:
    """What a checkout of this working tree gives: its files, without those that git ignores."""
    listed = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)
            shutil.copymode(ROOT / name, target / name)
    return target

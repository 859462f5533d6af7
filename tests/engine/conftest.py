"""A real engine, and calls of the module on it as a user makes them."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from ci.run.dagger_interface import CALL, CORE
from tests.conftest import ROOT


@dataclass(frozen=True)
class Called:
    """What a call gave."""

    status: int
    out: str
    err: str  # the engine's log of the call in plain text, the message of an error included

    @property
    def message(self) -> str:
        """The error's own lines."""
        return self.err.rsplit("Error: ", 1)[-1].split("[traceparent", 1)[0].strip()


Call = Callable[..., Called]


def dagger(*arguments: str, env: dict[str, str] | None = None, timeout: float = 900) -> Called:
    """Run the CLI."""
    command = ["dagger", "--progress=plain", *arguments]
    environment = {**os.environ, "NO_COLOR": "1", "DAGGER_NO_NAG": "1", **(env or {})}
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment, check=False)
    return Called(done.returncode, done.stdout, done.stderr)


def core(*functions: str, **options: Any) -> Called:
    """Call a chain of the engine's own functions."""
    return dagger(*CORE.split()[1:], *functions, **options)


def call_of(module: Path, *arguments: str, **options: Any) -> Called:
    """Call a function of a module in a folder."""
    return dagger(*CALL.split()[1:], "-m", str(module), *arguments, **options)


@pytest.fixture(scope="session")
def engine() -> str:
    """The version of the engine that answers."""
    if shutil.which("dagger") is None:
        pytest.skip("no dagger CLI on PATH; see README.md, The Dagger module")
    try:
        answered = core("version", timeout=60)
    except subprocess.TimeoutExpired:
        pytest.skip("no Dagger engine answered its version within 60 s")
    if answered.status:
        pytest.skip(f"no Dagger engine answers: {answered.message.splitlines()[-1]}")
    return answered.out.strip()


@pytest.fixture(scope="session")
def address() -> str:
    """Of this machine, as a container of the engine reaches it: where the tests' servers listen."""
    if named := os.environ.get("GT_HOST_FROM_ENGINE"):
        return named
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing
        return str(probe.getsockname()[0])


@pytest.fixture(scope="session")
def call(engine: str) -> Call:
    """Call a function of this checkout's module."""
    return partial(call_of, ROOT)


@pytest.fixture(scope="session")
def functions_listed(engine: str) -> Called:
    """What the CLI lists of this checkout's module; in 1.0 by `dagger api functions`."""
    return dagger("functions", "-m", str(ROOT))


@pytest.fixture(scope="session")
def help_of(call: Call) -> Callable[[str], str]:
    """The CLI's help of a function."""
    return cache(lambda function: call(function, "--help").out)


@dataclass
class Volume:
    """Generations that share one result store, which no other test has."""

    call: Call
    folder: Path
    name: str

    def generate(self, *arguments: str, output: str = "gt", **options: Any) -> tuple[dict[str, Any], Called]:
        """Generate on the CPU; returns the manifest and the call."""
        artifact = self.folder / output
        called = self.call(
            "generate", "--on", "cpu", "--results", self.name, *arguments, "-o", str(artifact), **options
        )
        assert called.status == 0, called.err[-3000:]
        return json.loads((artifact / "manifest.json").read_text()), called


@pytest.fixture(scope="module")
def volume(call: Call, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Volume]:
    """A new, empty result store."""
    return lambda: Volume(call, tmp_path_factory.mktemp("engine"), f"gt-test-{uuid.uuid4().hex}")


def options_in(text: str) -> set[str]:
    """The options that a help lists: it puts a dash before a number, which the CLI takes with and without."""
    return {re.sub(r"-(?=\d)", "", name) for name in re.findall(r"^ +(--[a-z\d-]+)", text, re.MULTILINE)}


def written(folder: str | None, since: Path, text: str) -> list[str]:
    """The files of an engine's state, where it is on this machine, that were written since and hold a text."""
    if folder is None:
        return []
    changed = ["find", folder, "-xdev", "-type", "f", "-cnewer", str(since)]
    found = subprocess.run(
        [*changed, "-exec", "grep", "-lF", text, "{}", "+"], capture_output=True, text=True, check=False
    )
    return found.stdout.splitlines()


def processes(manifest: dict[str, Any]) -> dict[str, str]:
    """The process that made each case: tells a run from the memory of one."""
    return {name: case["process"]["id"] for name, case in manifest["cases"].items() if case["status"] == "ok"}


def sums(manifest: dict[str, Any]) -> dict[str, str]:
    """The sha256 of each file."""
    return {file["name"]: file["sha256"] for case in manifest["cases"].values() for file in case["files"]}

"""What every test may ask for."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import stamina
import yaml
from huggingface_hub import constants
from hypothesis import HealthCheck, settings

from ci.catalogue import files as catalogues
from ci.catalogue.files import Catalogue
from tests.support.fake_hub import FILES, MODEL, FakeHub, serving

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
# How long an example takes says more of the machine's load than of the code.
EXAMPLES = int(os.environ.get("GT_EXAMPLES", "50"))
settings.register_profile(
    "any machine", deadline=None, max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")
LONG = "GT_LONG_TESTS" in os.environ  # run the tests that CI has no time for, and the others for longer
GROUPS = ("engine", "slurm")  # rooms of tests that share what they run on
Gt = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of a file share its fixtures, so a process runs them all; those of the engine, and of Slurm, share that.

    These two come first: they take longest, and would keep one process busy when the others are through.
    """
    for item in items:
        room = _room(item)
        item.add_marker(pytest.mark.xdist_group(room if room in GROUPS else str(item.path)))
        if room == "engine":
            item.add_marker(pytest.mark.engine)
        if item.get_closest_marker("long") and not LONG:
            item.add_marker(pytest.mark.skip(reason="takes long; GT_LONG_TESTS=1 runs it"))
    items.sort(key=lambda item: _room(item) not in GROUPS)


def _room(item: pytest.Item) -> str:
    return item.path.relative_to(ROOT / "tests").parts[0]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache."""
    monkeypatch.setenv("GT_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.delenv("GITHUB_REF", raising=False)


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    """Our own cases."""
    return catalogues.load()


@pytest.fixture(scope="session")
def facts() -> dict[str, Any]:
    """The checked parameters of upstream's official cases, by case."""
    path = SHARED / "facts" / "official_cases.yaml"
    if not path.is_file():
        pytest.skip(f"the facts that the official cases are compared with are not here: {path}")
    facts: dict[str, Any] = yaml.safe_load(path.read_text())
    return facts


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny weights for all official Diffusers cases, and their inputs."""
    from tests.support import official, tiny_diffusers  # noqa: PLC0415  # they import torch

    folder = tmp_path_factory.mktemp("models")
    tiny_diffusers.build(folder)
    official.write_inputs(folder)
    return folder


@pytest.fixture
def gt(tmp_path: Path) -> Gt:
    """Run the local command as a user does, in an empty directory."""

    def run(
        *arguments: str, cwd: Path = tmp_path, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            gt_command(*arguments),
            cwd=cwd,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    return run


def gt_command(*arguments: str) -> Sequence[str]:
    """The command line of `gt` in this environment."""
    return [str(Path(sys.executable).parent / "gt"), *arguments]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    """A hub with one model, an empty cache of huggingface_hub, no token, and no pauses between tries."""
    server = FakeHub()
    server.push(MODEL, FILES)
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{server.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "hf" / "token"))
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1 << 16)  # else what came before a cut stays in its buffer
    monkeypatch.delenv("HF_TOKEN", raising=False)
    for module in ("huggingface_hub.utils._http", "huggingface_hub.file_download"):
        monkeypatch.setattr(f"{module}.time", SimpleNamespace(sleep=lambda _: None))
    with serving(server), stamina.set_testing(True, attempts=3, cap=True):
        yield server
        huggingface_hub.close_session()

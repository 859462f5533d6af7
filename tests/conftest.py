"""What every test may ask for."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci import catalogue as catalogues
from ci.catalogue import Catalogue

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
Gt = Callable[..., "subprocess.CompletedProcess[str]"]


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

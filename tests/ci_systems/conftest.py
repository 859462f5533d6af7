"""What executes and checks CI files; a test whose tool is not installed skips, with the reason."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.ci_systems.expressions import Expressions
from tests.ci_systems.github import GitHub, snapshot


def tool(name: str) -> str:
    """The path of a program. Skips where it is not installed."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"no {name} on PATH; .ci/run installs it")
    return path


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This working tree, as a checkout gives it."""
    return snapshot(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="session")
def act() -> str:
    """Executes workflows on this machine."""
    return tool("act")


@pytest.fixture
def github(act: str, checkout: Path, tmp_path: Path) -> GitHub:
    """Stands in for GitHub."""
    return GitHub(act, tmp_path / "github", checkout)


@pytest.fixture
def actionlint() -> str:
    """Lints workflows; it takes shellcheck for their scripts."""
    tool("shellcheck")
    return tool("actionlint")


@pytest.fixture
def shellcheck() -> str:
    """Lints shell scripts."""
    return tool("shellcheck")


@pytest.fixture(scope="session")
def expressions(tmp_path_factory: pytest.TempPathFactory) -> Expressions:
    """GitHub's evaluator of expressions."""
    for name in ("node", "npm"):
        tool(name)
    try:
        return Expressions.install(tmp_path_factory.mktemp("expressions"))
    except subprocess.CalledProcessError as error:
        pytest.skip(f"npm ci failed: {error.stderr.strip().splitlines()[-1]}")

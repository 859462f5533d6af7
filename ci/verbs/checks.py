"""The project's own checks, each a command in a container that holds its whole development environment."""

from __future__ import annotations

import dagger
from dagger import dag
from dagger.mod._exceptions import FunctionError  # what the SDK reports without a traceback

from ..run import recipes
from ..run.images import with_uv

SOURCE = "/src"
LAST_WORDS = 2_000  # characters of a failed check
COMMANDS = {
    "lint": ("ruff check", "ruff format --check"),
    "types": ("mypy",),
    "tests": ("pytest -m 'not engine'",),
    "schemas": ("pytest tests/catalogue/test_schemas.py",),
}
PACKAGES = ("chromium", "git", "libseccomp2")  # what tests run besides Python


async def run(name: str, source: dagger.Directory) -> None:
    """Run a check. Raises a FunctionError with the end of its output where it fails."""
    try:
        await _checked(name, source).sync()
    except dagger.ExecError as error:
        output = (error.stdout + error.stderr)[-LAST_WORDS:]
        raise FunctionError(f"{name}: the end of its output:\n{output}") from None


def _checked(name: str, source: dagger.Directory) -> dagger.Container:
    data = recipes.data()
    packages = f"apt-get update -qq && apt-get install -qqy {' '.join(PACKAGES)}"
    container = dag.container().from_(data.address).with_exec(["sh", "-c", packages])
    container = with_uv(container, data.uv).with_workdir(SOURCE)
    for file in ("pyproject.toml", "uv.lock", "containers/runner/pyproject.toml"):
        container = container.with_file(f"{SOURCE}/{file}", source.file(file))
    install = "uv sync --locked --no-install-project --no-install-package gt-runner"
    container = container.with_exec(["sh", "-c", install]).with_directory(SOURCE, source)
    commands = " && ".join(f"uv run --locked {command}" for command in COMMANDS[name])
    return container.with_exec(["sh", "-c", commands])

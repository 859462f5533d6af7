"""The project's own checks, each a command in a container that holds its whole development environment."""

from __future__ import annotations

from typing import Annotated, Any

import dagger
from dagger import Doc, dag, function
from dagger.mod._exceptions import FunctionError  # what the SDK reports without a traceback

from ..run import recipes
from ..run.dagger_interface import from_caller
from ..run.images import with_uv

SOURCE = "/src"
LAST_WORDS = 2_000  # characters of a failed check
PACKAGES = ("chromium", "git", "libseccomp2")  # what tests run besides Python

Checkout = Annotated[
    dagger.Directory,
    *from_caller("/", without=(".git", ".venv", "**/__pycache__", ".*_cache", "gt")),
    Doc("This repository."),
]


def check(name: str, words: str, *commands: str) -> Any:
    """The function of the Dagger module that runs a check, of this name and with these words as its help.

    It raises a FunctionError with the end of the commands' output where one fails.
    """

    async def run(self: Any, checkout: Checkout) -> None:  # noqa: ARG001  # the module has no state
        try:
            await _ran(commands, checkout).sync()
        except dagger.ExecError as error:
            output = (error.stdout + error.stderr)[-LAST_WORDS:]
            raise FunctionError(f"{name}: the end of its output:\n{output}") from None

    run.__name__, run.__doc__ = name, words
    return function(dagger.check(run))


def _ran(commands: tuple[str, ...], source: dagger.Directory) -> dagger.Container:
    data = recipes.data()
    packages = f"apt-get update -qq && apt-get install -qqy {' '.join(PACKAGES)}"
    container = dag.container().from_(data.address).with_exec(["sh", "-c", packages])
    container = with_uv(container, data.uv).with_workdir(SOURCE)
    for file in ("pyproject.toml", "uv.lock", "containers/runner/pyproject.toml"):
        container = container.with_file(f"{SOURCE}/{file}", source.file(file))
    install = "uv sync --locked --no-install-project --no-install-package gt-runner"
    container = container.with_exec(["sh", "-c", install]).with_directory(SOURCE, source)
    return container.with_exec(["sh", "-c", " && ".join(f"uv run --locked {command}" for command in commands)])

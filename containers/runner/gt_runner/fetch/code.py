"""The repository of an official implementation at its pin, fetched by git, or a local folder in its place."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..contract import Case, Code
from ..errors import FetchError
from .alone import alone
from .folders import Folders
from .git import GitError, git
from .hub import identity
from .index import IndexedFile, digest, sha256_of
from .local_models import files_of
from .retry import persistently

BASE_URL = "https://github.com/"  # a mirror stands in through git's own url.<mirror>.insteadOf


def fetch_code(case: Case, folders: Folders) -> tuple[str | None, str | None]:
    """The path of the checkout and its identity; None and None for a case without code.

    Raises FetchError where the pin cannot be had, or a local checkout is not at it.
    """
    code = case.get("code")
    if code is None:
        return None, None
    folder = folders.stand_in(code["repo"])
    if folder is not None and all((folder / path).is_dir() for path in code["paths"]):
        return str(folder.absolute()), _local_identity(folder, code)
    checkout = _checkout(code, folders.cache / "code")
    for path in code["paths"]:
        if not (checkout / path).is_dir():
            raise FetchError(f"{code['repo']} has no folder {path} at {code['commit']}; correct the case's code.paths")
    return str(checkout.absolute()), identity(code["commit"])


def _local_identity(folder: Path, code: Code) -> str:
    if (folder / ".git").exists():
        _check_pin(folder, code, f"{code['repo']} in the --models folder")
        return identity(code["commit"])
    records: dict[str, IndexedFile] = {}
    for path in code["paths"]:
        for name, status in files_of(folder / path).items():
            records[f"{path}/{name}"] = IndexedFile(status.st_size, sha256_of(folder / path / name))
    return digest(records)


def _checkout(code: Code, folder: Path) -> Path:
    name = f"{code['repo'].replace('/', '--')}@{code['commit']}"
    final, partial = folder / name, folder / f".{name}.partial"
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder / f".{name}.lock", f"fetching {code['repo']}"):
        if not final.exists():
            shutil.rmtree(partial, ignore_errors=True)  # what a killed process left
            try:
                _clone(code, partial)
                partial.rename(final)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    _check_pin(final, code, f"{name} under code/ in the cache")
    return final


def _clone(code: Code, folder: Path) -> None:
    def get() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        git(folder, "init", "--quiet", "--template=")
        git(folder, "fetch", "--quiet", "--depth", "1", f"{BASE_URL}{code['repo']}", code["commit"])
        git(folder, "checkout", "--quiet", "--detach", "FETCH_HEAD")

    try:
        persistently(get, code["repo"])
    except GitError as error:
        raise FetchError(
            f"{code['repo']} at {code['commit']}: git says: {error}; check the case's code and the network, or put a "
            "checkout into the --models folder"
        ) from error


def _check_pin(folder: Path, code: Code, name: str) -> None:
    """Raises FetchError unless the checkout is at the pin, and no file of it was changed."""
    try:
        head = git(folder, "rev-parse", "HEAD")
        changes = git(folder, "status", "--porcelain", "--untracked-files=no", "--", *code["paths"])
    except GitError as error:
        raise FetchError(f"{name} is no whole git checkout ({error}); remove it") from error
    if head != code["commit"]:
        raise FetchError(
            f"{name} is at {head}, the case pins {code['commit']}; check that commit out, or remove the folder"
        )
    if changes:
        raise FetchError(
            f"{name} was changed: {changes.splitlines()[0].strip()}; undo the changes, or remove the folder"
        )

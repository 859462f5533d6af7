"""Runs git without questions and with settings of its own, and tries again where that may help."""

from __future__ import annotations

import difflib
import os
import subprocess
from pathlib import Path

from ..errors import FetchError
from .retry import persistently

_LASTING = (  # parts of git's messages about failures that another try does not mend
    "not our ref",
    "not found",
    "couldn't find remote ref",
    "could not read Username",
    "Authentication failed",
    "does not appear to be a git repository",
    "unable to write",
    "No space left",
)
_ENVIRONMENT = {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}  # no prompt; messages in English, for _LASTING
_FOREIGN = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")  # set in a git hook; they would lead git to that repository
_SETTINGS = (
    "--no-optional-locks",  # a local checkout may be read-only
    *("-c", "core.autocrlf=false"),
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=30"),  # bytes per second, seconds: a stalled download
    *("-c", "advice.detachedHead=false"),
)


class GitError(Exception):
    """Git failed; the message is the line of its output that says why."""


class _PassingGitError(GitError, ConnectionError):
    """Git failed in a way that may pass."""


def git(folder: Path, *arguments: str) -> str:
    """What git prints. Raises FetchError where there is no git, GitError where it fails."""
    environment = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    trusted = ("-c", f"safe.directory={folder.absolute()}")  # a mounted checkout belongs to another user
    try:
        answer = subprocess.run(
            ["git", *_SETTINGS, *trusted, "-C", str(folder), *arguments],
            check=True,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env=environment | _ENVIRONMENT,
        )
    except FileNotFoundError as error:
        raise FetchError("git is needed here, and is not installed; install it") from error
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or [f"exit status {error.returncode}"]
        lasting = any(sign in error.stderr for sign in _LASTING)
        raise (GitError if lasting else _PassingGitError)(
            next((line for line in lines if line.startswith("fatal: ")), lines[-1])
        ) from None
    return answer.stdout.strip()


def fetch_folder(url: str, ref: str, path: str, folder: Path) -> Path:
    """One folder of a repository at a branch, tag or commit, fetched into an empty folder: no history, no other files.

    Raises FetchError.
    """
    if any(part.startswith("-") for part in (url, ref, path)):  # git would take it for an option
        raise FetchError(f"{url} at {ref}: an address, a ref and a folder do not begin with -")
    try:
        git(folder, "init", "--quiet", "--template=")
        git(folder, "remote", "add", "origin", url)
        if path:
            git(folder, "sparse-checkout", "set", path)
        fetch = ("fetch", "--quiet", "--depth", "1", "--filter=blob:none", "origin", ref)
        persistently(lambda: git(folder, *fetch), url)
        persistently(lambda: git(folder, "checkout", "--quiet", "--detach", "FETCH_HEAD"), url)  # it fetches the files
    except GitError as error:
        raise FetchError(f"{url} at {ref}: git says: {error}; check the address, the ref and the network") from error
    if not (folder / path).is_dir():
        raise FetchError(f"{url} at {ref} has no folder {path}; {_there(folder, path)}")
    return folder / path


def _there(folder: Path, path: str) -> str:
    """What to name in place of a path that the commit does not have: what is nearest to it there."""
    folders = git(folder, "ls-tree", "-r", "-d", "--name-only", "FETCH_HEAD").splitlines()
    near = difflib.get_close_matches(path, folders, cutoff=0) or ["nothing: it has files alone"]
    return f"nearest to it is {', '.join(near)}"

"""The weights of a case: hub repositories, or local folders that stand in for them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from huggingface_hub import constants

from ..contract import Case, FetchedRepository, Lora, Repository, repositories
from ..errors import AccessError, FetchError, SpaceError
from .folders import Folders
from .hub import Snapshot, commit_of, identity
from .index import existing, matching
from .local_models import fetch_local, files_of
from .progress import Progress

DIFFUSERS = "diffusers"  # the source whose loader knows variants
_RESERVE = 1024**3  # bytes left free: hf-xet keeps chunks of what it downloads, and others write there too


def needed(case: Case) -> list[Repository]:
    """The repositories that a case needs, each once: a text encoder or a LoRA may come from the model's own.

    Raises FetchError for one repository at two revisions.
    """
    repositories_by_name: dict[str, Repository] = {}
    for repository in repositories(case):
        name, files = repository["repo"], _files(repository)
        this: Repository = {"repo": name, "revision": repository.get("revision")}
        if repository is case["model"] and case["source"] == DIFFUSERS:
            this["variant"] = repository.get("variant")
        other = repositories_by_name.setdefault(name, this)
        if other["revision"] != this["revision"]:
            raise FetchError(f"{name} is named at two revisions; give it the same one wherever the case names it")
        if other is this and files is not None:
            this["files"] = files
        elif files is None:
            other.pop("files", None)
        elif "files" in other:
            other["files"] = [*other["files"], *files]
    return list(repositories_by_name.values())


def identify(case: Case, folders: Folders, progress: Progress) -> dict[str, FetchedRepository]:
    """What a result's key needs of each repository: the commit, or the digest of a local folder. Downloads nothing.

    Raises FetchError.
    """
    identities: dict[str, FetchedRepository] = {}
    for repository in needed(case):
        name = repository["repo"]
        folder = _stand_in(repository, case, folders)
        if folder is not None:
            identities[name] = fetch_local(repository, folder, folders, progress)
            continue
        commit = commit_of(name, repository.get("revision"))
        unknown = {"path": "", "digest": "", "bytes": 0}
        identities[name] = {"repo": name, "commit": commit, "identity": identity(commit), **unknown}  # type: ignore[typeddict-item]
    return identities


def fetch(
    case: Case, folders: Folders, progress: Progress, identities: Mapping[str, FetchedRepository]
) -> dict[str, FetchedRepository]:
    """Every repository of a case, downloaded and verified; `identities` are what `identify` gave.

    Raises FetchError; for all repositories that are closed to the user at once, before the first byte.
    """
    local = {name: repository for name, repository in identities.items() if repository["commit"] is None}
    of_hub = snapshots(case, folders, identities)
    _obtain([snapshot for snapshot in of_hub if not snapshot.complete()], progress)
    for snapshot in of_hub:
        snapshot.remember()
    return local | {snapshot.repo: snapshot.result() for snapshot in of_hub}


def snapshots(case: Case, folders: Folders, identities: Mapping[str, FetchedRepository]) -> list[Snapshot]:
    """The hub repositories of a case, as `fetch` takes them; none that a local folder stands in for."""
    return [
        Snapshot(repository, commit, folders)
        for repository in needed(case)
        if (commit := identities[repository["repo"]]["commit"]) is not None
    ]


def _obtain(lacking: list[Snapshot], progress: Progress) -> None:
    refusals: list[FetchError] = []
    for snapshot in lacking:
        try:
            snapshot.look_up()
        except FetchError as error:
            refusals.append(error)
    if refusals:
        kind = AccessError if all(isinstance(each, AccessError) for each in refusals) else FetchError
        raise kind("\n".join(map(str, refusals)))
    check_space(lacking)
    for snapshot in lacking:
        snapshot.obtain(progress)


def check_space(snapshots: list[Snapshot]) -> None:
    """Raises SpaceError where what they lack does not fit onto the disk. Needs `look_up` before."""
    size = sum(snapshot.missing_bytes() for snapshot in snapshots)
    free = shutil.disk_usage(existing(Path(constants.HF_HUB_CACHE))).free
    if size and size + _RESERVE > free:
        names = ", ".join(snapshot.repo for snapshot in snapshots)
        raise SpaceError(
            f"{names}: {size / 1e9:.1f} GB are to be downloaded and {_RESERVE / 1e9:.1f} GB must stay free, but "
            f"{free / 1e9:.1f} GB are free; free space, or set HF_HOME to a folder on a larger disk"
        )


def _stand_in(repository: Repository, case: Case, folders: Folders) -> Path | None:
    folder = folders.stand_in(repository["repo"])
    code = case.get("code")
    if folder is None or code is None or code["repo"] != repository["repo"]:
        return folder
    # Lightricks/LTX-2 names both a hub repository and a code repository: a folder without weights is the code.
    return folder if matching(files_of(folder), repository.get("files")) else None


def _files(repository: Repository) -> list[str] | None:
    file = cast("Lora", repository).get("file")  # repositories of LoRAs hold many: the one that is loaded is enough
    return repository.get("files") or ([file] if file else None)

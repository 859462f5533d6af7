"""Local folders (`--models DIR`) in place of repositories. The digest of their content is their identity."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ..contract import FetchedRepository, Repository
from ..environment import cores
from ..errors import FetchError, os_reason
from . import variants
from .folders import Folders
from .index import Index, IndexedFile, digest, matching, select, sha256_of
from .progress import Meter, Progress, in_parallel

INDEX = ".diffusion-gt-index.json"
_THREADS = min(8, cores())


def files_of(folder: Path) -> dict[str, os.stat_result]:
    """Every regular file under a folder by its relative name; hidden ones and Python's own caches do not count.

    Links are followed, to folders too. Raises FetchError for a link that leads nowhere or in a circle.
    """
    return dict(_walk(folder, "", frozenset()))


def fetch_local(repository: Repository, folder: Path, folders: Folders, progress: Progress) -> FetchedRepository:
    """The files of a local folder, each hashed once per name, size and time of change.

    Raises FetchError, naming the file, where one is missing or has another size than when it was first seen.
    """
    repo = repository["repo"]
    index = Index(folder / INDEX, folders.cache)
    with index.alone(f"hashing {repo}"):
        records = index.load()
        statuses = files_of(folder)
        names = select(statuses, repository.get("files"), repo)
        _refuse_damage(repo, records, statuses, repository.get("files"))
        if "variant" in repository:
            variants.check(repo, repository["variant"], names)
        records |= {name: _record(records.get(name), statuses[name]) for name in names}
        new = [name for name in names if records[name].sha256 is None]
        meter = Meter(f"{repo}: sha256", sum(records[name].size for name in new), progress)
        _hash(new, folder, records, index, meter)
    files = {name: records[name] for name in names}
    content = digest(files)
    return {
        "repo": repo,
        "path": str(folder.absolute()),
        "commit": None,
        "identity": content,
        "digest": content,
        "bytes": sum(file.size for file in files.values()),
        "files": names,
    }


def _walk(folder: Path, prefix: str, above: frozenset[tuple[int, int]]) -> Iterator[tuple[str, os.stat_result]]:
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or entry.name == "__pycache__":
            continue
        name = f"{prefix}{entry.name}"
        try:
            status = entry.stat()
        except OSError as error:
            raise FetchError(f"{name} in the --models folder cannot be read ({os_reason(error)}); repair it") from error
        place = (status.st_dev, status.st_ino)
        if stat.S_ISREG(status.st_mode):
            yield name, status
        elif stat.S_ISDIR(status.st_mode):
            if place in above:
                raise FetchError(f"{name} in the --models folder links back to a folder that holds it; remove the link")
            yield from _walk(entry, f"{name}/", above | {place})


def _refuse_damage(
    repo: str, index_files: dict[str, IndexedFile], statuses: dict[str, os.stat_result], patterns: list[str] | None
) -> None:
    for name in matching(sorted(index_files), patterns):
        status = statuses.get(name)
        if status is not None and status.st_size == index_files[name].size:
            continue
        what = "is missing" if status is None else f"has {status.st_size} bytes where it had {index_files[name].size}"
        raise FetchError(
            f"{repo}/{name} in the --models folder {what}; restore it, or, to take the folder as it is now, "
            f"delete {INDEX} in it (in our cache, under indexes/, if the folder is read-only)"
        )


def _record(entry: IndexedFile | None, status: os.stat_result) -> IndexedFile:
    if entry is not None and (entry.size, entry.mtime_ns) == (status.st_size, status.st_mtime_ns):
        return entry
    return IndexedFile(status.st_size, mtime_ns=status.st_mtime_ns)


def _hash(names: list[str], folder: Path, records: dict[str, IndexedFile], index: Index, meter: Meter) -> None:
    """Take the sha256 of these; all records are saved after each, as they are then: no thread undoes another's."""

    def take(name: str) -> None:
        sha256 = sha256_of(folder / name, lambda done: meter.at(name, done))
        records[name] = replace(records[name], sha256=sha256)
        index.save(records)

    in_parallel(take, names, meter.stop, _THREADS)

"""The result directory: images at its top and the manifest, nothing else of ours, nothing half-written.

A run into the directory of an earlier artifact adds to it: a finished case replaces its earlier self, and every other
case stays with its files. Only `replace` starts anew. Runs that end at once write one after the other, so each adds
to what the others left.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from ..catalogue.fields import ALL
from ..catalogue.model import Case
from ..errors import ArtifactError, writing
from ..plan.generation import Generation
from .manifest import NAME, Manifest, alike, read
from .records import CaseRecord

PROBE = 1 << 20  # bytes that must fit before a run begins
OTHERWISE = "choose another directory with -o, or start this one anew with --replace"
log = logging.getLogger(__name__)


def check_writable(path: Path, advice: str = "choose another one with -o") -> None:
    """Raises ArtifactError where a folder cannot be made or written. Leaves nothing behind: made before a run."""
    with writing(path, ArtifactError, advice):
        if path.is_symlink() and not path.exists():
            raise ArtifactError(f"{path} cannot be written: it is a link to nothing; {advice}")
        parent = next(each for each in (path, *path.absolute().parents) if each.exists())
        if not parent.is_dir():
            raise ArtifactError(f"{path} cannot be written: {parent} is a file; {advice}")
        with tempfile.TemporaryDirectory(prefix=".gt-", dir=parent) as probe:
            below = Path(probe, *path.absolute().relative_to(parent.absolute()).parts)
            below.mkdir(parents=True, exist_ok=True)
            with (below / "probe").open("wb") as file:
                file.write(bytes(PROBE))
                os.fsync(file.fileno())


def check(directory: Path, run: Generation, cases: Mapping[str, Case], *, replace: bool = False) -> None:
    """Raises ArtifactError where a run could not be written into a directory: asked before anything is made.

    An earlier artifact's case that stays must still be what the case files' `cases` have under its name.
    """
    check_writable(directory)
    earlier = None if replace else _earlier(directory)
    if earlier is None:
        return
    ids = [case.id for case in run.cases]
    _refuse(directory, earlier, run.selection.mode, run.on, ids)
    others = [name for name in earlier.cases if name in cases and name not in ids]
    changes = [name for name in others if earlier.cases[name].case != cases[name].data()]
    if changes:
        raise ArtifactError(f"{directory} holds {', '.join(changes)} as the case files had it before; {OTHERWISE}")


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """No other run of this tool writes there meanwhile, as long as this is open. The folder is made if need be.

    A lock of the folder itself leaves nothing in it. `gt_trace` takes the same.
    """
    directory.mkdir(parents=True, exist_ok=True)
    handle = os.open(directory, os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems of a network lock no folder: there, runs must not end at once
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                log.warning("another run is writing %s; waiting for it", directory)
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def write(directory: Path, manifest: Manifest, results: Mapping[str, Path], *, replace: bool = False) -> list[str]:
    """Write an artifact; `results` holds the folder of each finished case's files.

    A run that finished nothing leaves an earlier artifact as it is, with `replace` too. Returns a line for each thing
    that a user may not expect: files that are removed or in no manifest, cases that stay. Raises ArtifactError where
    the directory cannot be written, or holds what the run does not go with; it is then as it was.
    """
    with writing(directory, ArtifactError), alone(directory):
        earlier = _earlier(directory, readable=not replace)
        if earlier is not None and not manifest.files:
            return [f"no case was finished: {directory} is left as it was, with the artifact of an earlier run"]
        whole = manifest if earlier is None or replace else _merged(directory, earlier, manifest)
        return _write(directory, manifest, results, earlier, whole)


def rewrite(directory: Path, manifest: Manifest, results: Mapping[str, Path]) -> list[str]:
    """As `write`, for an artifact that stands for everything that was asked for, whatever the directory held."""
    with writing(directory, ArtifactError), alone(directory):
        return _write(directory, manifest, results, _earlier(directory, readable=False), manifest)


def _write(
    directory: Path, new: Manifest, results: Mapping[str, Path], earlier: Manifest | None, whole: Manifest
) -> list[str]:
    _put(directory, whole, [results[name] / file.name for name, record in new.cases.items() for file in record.files])
    return list(_tidy(directory, whole, earlier, new))


def _earlier(directory: Path, *, readable: bool = True) -> Manifest | None:
    """The manifest that is there, if any. Raises ArtifactError where it cannot be read, and must be."""
    if not (directory / NAME).exists():
        return None
    try:
        return read(directory)
    except ArtifactError as error:
        if not readable:
            return None
        raise ArtifactError(f"{error}\nNothing is written over it: {OTHERWISE}") from None


def _refuse(directory: Path, earlier: Manifest, mode: str, on: str | None, names: Iterable[str]) -> None:
    """Raises ArtifactError where an earlier artifact and cases of these names do not go into one."""
    selection, others = earlier.run.selection, [name for name in earlier.cases if name not in names]
    twins = alike([*others, *names])
    if earlier.publication is not None:
        reason = "published GT, which `gt publish` alone adds to"
    elif selection.mode != mode:
        reason = f"an artifact of mode {selection.mode}, and this run's is {mode}"
    elif others and selection.on != on:
        kinds = [f"moved to GPU kind {kind}" if kind else "on the kinds that they need" for kind in (selection.on, on)]
        reason = f"cases {kinds[0]}, and this run's are {kinds[1]}"
    elif twins:
        reason = f"case {twins[0]}, which is {twins[1]} where upper and lower case are the same"
    else:
        return
    raise ArtifactError(f"{directory} holds {reason}; {OTHERWISE}")


def _merged(directory: Path, earlier: Manifest, new: Manifest) -> Manifest:
    """The manifest of both: what the new run finished, and what the earlier ones did besides."""
    selection = new.run.selection
    _refuse(directory, earlier, selection.mode, selection.on, new.cases)
    reasons = {
        name: f"{record.status}: {record.reason}; its files are those of an earlier run"
        for name, record in new.cases.items()
        if record.status != "ok" and _stays(earlier, name, selection.on)
    }
    cases: dict[str, CaseRecord] = dict(earlier.cases)
    cases |= {name: record for name, record in new.cases.items() if name not in reasons}
    if twins := alike(file.name for record in cases.values() for file in record.files):
        raise ArtifactError(f"{directory} holds {twins[0]}, and another case of this run makes {twins[1]}; {OTHERWISE}")
    kept = {name: reason for name, reason in earlier.run.kept.items() if name not in new.cases} | reasons
    names = list(dict.fromkeys([*earlier.run.selection.case_ids, *selection.case_ids]))
    group = selection.source_group if selection.source_group == earlier.run.selection.source_group else ALL
    selection = selection.model_copy(update={"case_ids": names, "source_group": group})
    run = new.run.model_copy(update={"selection": selection, "kept": kept})
    return Manifest.model_validate({**dict(new), "run": run, "cases": cases})


def _stays(earlier: Manifest, name: str, on: str | None) -> bool:
    record = earlier.cases.get(name)
    return record is not None and record.status == "ok" and earlier.run.selection.on == on


def _put(directory: Path, manifest: Manifest, files: Collection[Path]) -> None:
    """Copy everything first, so that a full disk spoils nothing; then let it take its place."""
    partial = {directory / f".{file.name}.partial": directory / file.name for file in files}
    partial[directory / f".{NAME}.partial"] = directory / NAME
    try:
        for file in files:
            shutil.copyfile(file, directory / f".{file.name}.partial")
        (directory / f".{NAME}.partial").write_text(manifest.text(), encoding="utf-8")
        for target in partial.values():
            if target.is_dir():
                raise IsADirectoryError(0, f"{target.name} is a folder")
        for source, target in partial.items():
            os.replace(source, target)  # noqa: PTH105  # Path.replace on one line reads as str.replace
    finally:
        for source in partial:
            source.unlink(missing_ok=True)


def _tidy(directory: Path, manifest: Manifest, earlier: Manifest | None, new: Manifest) -> Iterator[str]:
    """Remove the files of an earlier run that no case has any more; but not those of a case that was not made again."""
    unmade = {name for name, record in new.cases.items() if record.status != "ok"}
    before = {} if earlier is None else earlier.cases
    stale = {file.name: name for name, record in before.items() for file in record.files}
    for path in sorted(directory.iterdir()):
        if path.name == NAME or path.name in manifest.files:
            continue
        if path.name in stale and stale[path.name] not in unmade:
            path.unlink()
            yield f"removed {path.name}: it is of an earlier run, and no case has it any more"
        else:
            yield f"left {path.name}: it is in no manifest"
    others = [name for name in manifest.cases if name not in new.cases]
    if others:
        yield f"kept of an earlier run: {' '.join(others)}"

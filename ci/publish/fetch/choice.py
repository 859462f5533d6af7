"""Which published files are fetched: for each case those of the first folder that has it, in readers' order."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath

from ...artifact import manifest as manifests
from ...artifact.manifest import Manifest, alike
from ...artifact.records import FileRecord
from ...catalogue import gpus
from ...catalogue.fields import FILE_LENGTH, path_name_mistake
from ...errors import ArtifactError, FetchError, near, printable
from ..changes import FIRST, SECOND
from ..merge import merge
from ..remotes.base import Entry
from .request import Request

KINDS = {gpus.folder_of(kind): kind for kind in reversed(gpus.GPU_KINDS)}  # by folder
IMAGES = (".jpg", ".jpeg", ".png", ".webp")
_NAME = re.compile(r"(?P<case>.+)_(?P<gpus>\d+gpu)(?P<frame>_frame_(?:0|mid|last))?")

Entries = Mapping[str, Entry]


@dataclass(frozen=True)
class PublishedFolder:
    """A folder of the data repository: its files, and its manifest where it has one."""

    path: str
    entries: Entries
    manifest: Manifest | None = None

    @cached_property
    def by_manifest(self) -> dict[str, list[FileRecord]]:
        """The files of each case that the manifest names."""
        cases = self.manifest.cases if self.manifest is not None else {}
        return {name: record.files for name, record in cases.items() if record.status == "ok"}

    @cached_property
    def by_name(self) -> dict[str, list[list[str]]]:
        """The other images by case, a list for each name that the case has: a jpg beside a png is a second one."""
        manifest_names = {file.name for files in self.by_manifest.values() for file in files}
        cases: dict[str, dict[tuple[str, ...], list[str]]] = {}
        for name in self.entries:
            if is_image(name) and name not in manifest_names and path_name_mistake(name, FILE_LENGTH) is None:
                case, *form = _parts(name)
                if case not in self.by_manifest:
                    cases.setdefault(case, {}).setdefault(tuple(form), []).append(name)
        return {case: [sorted(names) for names in forms.values()] for case, forms in cases.items()}

    @property
    def cases(self) -> set[str]:
        """The cases that have files here."""
        return {*self.by_manifest, *self.by_name}


@dataclass(frozen=True)
class ChosenFile:
    """A file that is fetched; `sha256` is the manifest's, None where no manifest names it."""

    case: str
    path: str
    blob: str
    sha256: str | None = None

    @property
    def name(self) -> str:
        """Its name in the directory."""
        return PurePosixPath(self.path).name


@dataclass
class Choice:
    """The files, the manifest that describes them, and what a reader may not expect."""

    files: dict[str, ChosenFile] = field(default_factory=dict)
    manifest: Manifest | None = None
    notes: list[str] = field(default_factory=list)


def roots(request: Request) -> list[str]:
    """The folders that hold GT, in the order in which readers look: the one that is named, else those of the modes."""
    return [request.path] if request.path else [FIRST, SECOND]


def places(folder: str, gpu: str | None) -> list[str]:
    """A folder of GT as readers look into it: that of the GPU kind, then the bare one."""
    same = [kind for kind in gpus.GPU_KINDS if gpu and gpus.suits(gpu, kind) and gpus.suits(kind, gpu)]
    kinds = list(dict.fromkeys(gpus.folder_of(kind) for kind in (gpu, *same) if kind))
    return [*(f"{folder}/{kind}".lstrip("/") for kind in kinds), folder]


def with_manifest(path: str, entries: Entries, content: bytes | None, where: str) -> PublishedFolder:
    """A folder with its manifest's content. Raises FetchError for one that cannot be read."""
    if content is None:
        return PublishedFolder(path, entries)
    try:
        return PublishedFolder(path, entries, manifests.parse(content, f"{path}/{manifests.NAME} of {where}"))
    except ArtifactError as error:
        raise FetchError(f"{error}; nothing was fetched") from None


def choose(published: Sequence[PublishedFolder], request: Request, elsewhere: Mapping[str, Collection[str]]) -> Choice:
    """The files of the asked cases; `elsewhere` are the cases of other GPU kinds' folders, for what is said.

    Raises FetchError for a case that is not there, or has two names, and where a file is none.
    """
    owners: dict[str, PublishedFolder] = {}
    for folder in published:
        for case in folder.cases:
            owners.setdefault(case, folder)
    cases = request.cases or sorted(owners)
    missing = [_missing(name, owners, elsewhere) for name in cases if name not in owners]
    if missing or not cases:
        raise FetchError("\n".join(missing or [_nothing(request, elsewhere)]))
    choice = Choice()
    for case in cases:
        for file in _files(case, owners[case]):
            twin = choice.files.setdefault(file.name, file)
            if twin is not file:
                raise FetchError(f"{file.name} is a file of both {twin.case} and {case}; name one with --case-ids")
    if twins := alike([manifests.NAME, *choice.files]):
        raise FetchError(f"{twins[0]} and {twins[1]} are one file where upper and lower case are the same")
    for folder in published:
        _describe(choice, folder, [name for name in cases if owners[name] is folder], request.gpu)
    return choice


def is_image(name: str) -> bool:
    """Whether this is the name of an image."""
    return PurePosixPath(name).suffix.lower() in IMAGES


def _parts(name: str) -> tuple[str, str, str, str]:
    """The case of a published name, and its form: GPU number, whether it is a frame, suffix."""
    path = PurePosixPath(name)
    parts = _NAME.fullmatch(path.stem)
    return (
        (parts["case"], parts["gpus"], "frame" if parts["frame"] else "", path.suffix)
        if parts
        else (path.stem, "", "", path.suffix)
    )


def _files(case: str, folder: PublishedFolder) -> Iterator[ChosenFile]:
    files = folder.by_manifest.get(case)
    if files is not None:
        for file in files:
            if not is_image(file.name):  # the directory may be one whose files are run, such as conftest.py
                raise FetchError(
                    f"{folder.path}/{manifests.NAME} names {file.name}, which is no image; tell who published it"
                )
            yield ChosenFile(case, f"{folder.path}/{file.name}".lstrip("/"), _blob(folder, file.name), file.sha256)
        return
    names, *others = folder.by_name[case]
    if others:
        both = " and ".join(name for name, *_ in (names, *others))
        raise FetchError(
            f"{folder.path} holds two names of case {case}, {both}: it is not known which counts; "
            "leave the case out with --case-ids, or let the publisher remove one"
        )
    for name in names:
        yield ChosenFile(case, f"{folder.path}/{name}".lstrip("/"), _blob(folder, name))


def _blob(folder: PublishedFolder, name: str) -> str:
    entry = folder.entries.get(name)
    if entry is None:
        raise FetchError(f"{folder.path}/{manifests.NAME} names {name}, which is not there; tell who published it")
    if not entry.is_file:
        raise FetchError(f"{folder.path}/{name} is no file but a link, a folder or a submodule; tell who published it")
    return entry.id


def _describe(choice: Choice, folder: PublishedFolder, cases: Collection[str], gpu: str | None) -> None:
    names = [name for name in cases if name in folder.by_manifest]
    if folder.manifest is not None and names:
        choice.manifest = merge(choice.manifest, folder.manifest, names)
        records = folder.manifest.cases
        kinds = {name: record.gpu.kind for name in names if (record := records[name]).gpu is not None}
        others = {name: kind for name, kind in kinds.items() if gpu and not gpus.suits(gpu, kind)}
        choice.notes += [f"{name} was made on {kind}, not on {gpu}" for name, kind in others.items()]
    odd = [name for name in folder.entries if is_image(name) and path_name_mistake(name, FILE_LENGTH) is not None]
    choice.notes += [f"left out of {folder.path}: {printable(name)!r}, no name of a file everywhere" for name in odd]


def _missing(name: str, owners: Collection[str], elsewhere: Mapping[str, Collection[str]]) -> str:
    kinds = sorted(kind for kind, cases in elsewhere.items() if name in cases)
    if kinds:
        return f"no GT of case {name} is published for this GPU kind, but for {', '.join(kinds)}: choose with --gpu"
    return f"no GT of case {name} is published there; {near(name, owners)}"


def _nothing(request: Request, elsewhere: Mapping[str, Collection[str]]) -> str:
    kinds = sorted(kind for kind, cases in elsewhere.items() if cases)
    where = f"{request.repository} at {request.revision}"
    if kinds:
        return f"{where} holds GT for {', '.join(kinds)} alone: choose with --gpu"
    return f"{where} holds no GT in {' or '.join(roots(request))}; name its folder: URL@REV:PATH"

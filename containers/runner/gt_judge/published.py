"""Published GT as a reference: the file of the same name, made on the same kind of GPU."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from . import artifact, records
from .artifact import File
from .errors import JudgeError
from .records import CaseRecord

ANY = "any"
OF_A_NEW_REPOSITORY = (".", "README", "LICENSE")  # how the names begin of what lies in one before GT does


@dataclass(frozen=True)
class Reference:
    """A published file, or why there is none. `kind` is the GPU kind that made it, where that is known."""

    path: Path | None
    why: str = ""
    kind: str | None = None


class Published:
    """A directory of the data repository, with its folders for GPU kinds."""

    def __init__(self, folder: Path, folders: Mapping[str, str] | None = None) -> None:
        """`folders`: of GPU kinds, where not named as the kind.

        Raises JudgeError where it is no directory, or holds other things than GT: every image would be new beside them.
        """
        if not folder.is_dir():
            raise JudgeError(f"{folder} is no directory of published GT")
        content = [path for path in folder.iterdir() if not path.name.startswith(OF_A_NEW_REPOSITORY)]
        if content and not any(_holds_gt(place) for place in (folder, *filter(Path.is_dir, content))):
            raise JudgeError(
                f"{folder} holds no published GT, neither itself nor in the folder of a GPU kind: name the folder that "
                "does, of a git repository as URL#REF:PATH; where nothing is published yet, leave it out"
            )
        self.folder = folder
        self._folders = folders or {}
        self._cases: dict[Path, Mapping[str, CaseRecord]] = {}

    def find(self, file: File) -> Reference:
        """The reference of a file. Upstream's readers look in the folder of the kind first, too."""
        reference = self.nearest(file)
        if reference.path is None or file.kind is None or reference.kind in (file.kind, None):
            return reference
        return Reference(None, f"the published one was made on {reference.kind}, this one on {file.kind}")

    def nearest(self, file: File) -> Reference:
        """The published file of this name, of the same GPU kind if there is one, else of whatever kind."""
        if file.kind and (own := self._of(file.kind) / file.name).is_file():
            return Reference(own, kind=file.kind)
        path = self.folder / file.name
        if not path.is_file():
            return Reference(None, "nothing is published under this name")
        return Reference(path, kind=self._kind(file))

    def _of(self, kind: str) -> Path:
        return self.folder / self._folders.get(kind, kind)

    def _kind(self, file: File) -> str | None:
        """What made the published file: by its manifest, else by what the case needs, which upstream routes by."""
        if file.name in self._kinds:
            return self._kinds[file.name]
        return None if file.needed == ANY else file.needed

    @cached_property
    def _kinds(self) -> dict[str, str | None]:
        """The GPU kind by file, as the manifest has it."""
        return records.kinds(self.cases(self.folder))

    def cases(self, folder: Path) -> Mapping[str, CaseRecord]:
        """The case records of a published manifest; none where there is none. Raises JudgeError."""
        if folder not in self._cases:
            self._cases[folder] = records.cases(folder)
        return self._cases[folder]

    def record(self, case: str, kind: str | None) -> CaseRecord | None:
        """The published record of a case, that of the GPU kind's folder before the bare one."""
        result = self.cases(self._of(kind)).get(case) if kind else None
        return result or self.cases(self.folder).get(case)

    def images(self, files: Iterable[File]) -> dict[str, Path]:
        """All images by name; where one GPU kind made these files, those of its folder before the bare ones."""
        kinds = {file.kind for file in files}
        kind = kinds.pop() if len(kinds) == 1 else None
        folders = [self.folder, *([self._of(kind)] if kind and self._of(kind).is_dir() else [])]
        return {path.name: path for folder in folders for path in artifact.images(folder)}


def _holds_gt(folder: Path) -> bool:
    return (folder / records.MANIFEST).is_file() or bool(artifact.images(folder))

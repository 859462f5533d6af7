"""Published GT as a reference: the file of the same name, made on the same kind of GPU."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .artifact import File, Record, read_manifest
from .errors import JudgeError
from .pictures import is_image

ANY = "any"


@dataclass(frozen=True)
class Reference:
    """A published file, or why there is none. `kind` is the GPU kind that made it, where that is known."""

    path: Path | None
    why: str = ""
    kind: str | None = None


class Published:
    """A directory of the data repository, with its folders for GPU kinds."""

    def __init__(self, folder: Path) -> None:
        """Raises JudgeError where it is no directory."""
        if not folder.is_dir():
            raise JudgeError(f"{folder} is no directory of published GT")
        self.folder = folder
        self._manifests: dict[Path, Record | None] = {}

    def find(self, file: File) -> Reference:
        """The reference of a file. Upstream's readers look in the folder of the kind first, too."""
        reference = self.nearest(file)
        made, found = file.kind, reference.kind
        if reference.path is None or made is None or found in (made, None):
            return reference
        return Reference(None, f"the published one was made on {found}, this one on {made}")

    def nearest(self, file: File) -> Reference:
        """The published file of this name, of the same GPU kind if there is one, else of whatever kind."""
        own = self.folder / (file.kind or "") / file.name
        if file.kind and own.is_file():
            return Reference(own, kind=file.kind)
        path = self.folder / file.name
        if not path.is_file():
            return Reference(None, "nothing is published under this name")
        return Reference(path, kind=self._kind(file))

    def _kind(self, file: File) -> str | None:
        """What made the published file: by its manifest, else by what the case needs, which upstream routes by."""
        for record in self.cases(self.folder).values():
            if file.name in (known["name"] for known in record["files"]):
                return (record.get("gpu") or {}).get("kind")
        return None if file.needed == ANY else file.needed

    def cases(self, folder: Path) -> Mapping[str, Any]:
        """The case records of a published manifest; none where there is none."""
        if folder not in self._manifests:
            self._manifests[folder] = read_manifest(folder)
        manifest = self._manifests[folder]
        return {} if manifest is None else manifest["cases"]

    def record(self, case: str, kind: str | None = None) -> Record | None:
        """The published record of a case, that of the GPU kind's folder before the bare one."""
        folders = [self.folder / kind, self.folder] if kind else [self.folder]
        found: Iterator[Record | None] = (self.cases(folder).get(case) for folder in folders)
        return next((record for record in found if record is not None), None)

    def images(self, kind: str | None = None) -> dict[str, Path]:
        """All images by name, those of the GPU kind's folder before the bare ones."""
        folders = [self.folder, self.folder / kind] if kind and (self.folder / kind).is_dir() else [self.folder]
        found = [path for folder in folders for path in sorted(folder.iterdir()) if path.is_file() and is_image(path)]
        return {path.name: path for path in found}

"""What a verb's fields are made of: inputs, marks for the doors, and the options that several verbs share."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typing_extensions import Doc

from ..catalogue.files import CASES
from ..errors import GtError, reading, writing
from ..plan import slurm
from ..plan.slurm import Site
from .choices import GpuKind

if TYPE_CHECKING:
    import dagger


class Folder:
    """A folder that the caller names: a path on this machine, a directory of the engine, or both."""

    def __init__(self, path: Path | str | None = None, directory: dagger.Directory | None = None) -> None:
        self._path, self._directory = path, directory

    @property
    def path(self) -> Path:
        """Where it lies on this machine."""
        assert self._path is not None, "an engine's directory that was not exported"  # noqa: S101
        return Path(self._path)

    @property
    def address(self) -> str:
        """As it was typed, where that may be an address too."""
        return str(self._path)

    @property
    def directory(self) -> dagger.Directory:
        """What it is on the engine."""
        assert self._directory is not None, "a folder of this machine"  # noqa: S101
        return self._directory


def path_of(folder: Folder | None) -> Path | None:
    """Where an optional folder lies on this machine."""
    return None if folder is None else folder.path


def directory_of(folder: Folder | None) -> dagger.Directory | None:
    """What an optional folder is on the engine."""
    return None if folder is None else folder.directory


class Secret:
    """A token. `gt` reads it from a variable, so that it never stands on a command line."""

    def __init__(self, text: str | None = None, secret: dagger.Secret | None = None) -> None:
        self._text, self._secret = text, secret

    @property
    def text(self) -> str:
        """The token itself."""
        assert self._text is not None, "a secret of the engine that was not read"  # noqa: S101
        return self._text

    @property
    def secret(self) -> dagger.Secret:
        """What it is on the engine."""
        assert self._secret is not None, "a secret of this machine"  # noqa: S101
        return self._secret

    async def plain(self) -> Secret:
        """The same, with its text at hand."""
        return Secret(await self.secret.plaintext(), self._secret)


@dataclass(frozen=True)
class OneOf:
    """Marks an option that takes one of an enum's values; the verb gets the value."""

    words: type[enum.Enum]


@dataclass(frozen=True)
class FromCaller:
    """Marks how the module takes a folder: from its own repository where none is named, and not all of it."""

    path: str | None = None  # in that repository
    without: tuple[str, ...] = ()  # patterns of a .gitignore


@dataclass(frozen=True)
class Typed:
    """Marks how `gt` takes an option."""

    name: str | None = None  # that is typed, if it is not the field's
    positional: bool = False  # an argument without a name
    default: str | None = None  # in the help
    variable: str | None = None  # that is read where the option is not typed
    value: str | None = None  # what the value is called that may be left out: then it is the empty text
    repository: bool = False  # a folder may be one of a git repository too, as URL#REF:PATH


@dataclass(frozen=True)
class AtLeast:
    """Marks an option that takes a number from this one on."""

    number: float


@dataclass(frozen=True)
class Written:
    """Marks where a verb writes: `-o` for `gt`; for the module, what it gives back: a directory, or the file `name`."""

    name: str | None = None


OURS = Folder(CASES)
GT = Folder("gt")

Official = Annotated[bool, Doc("Official cases, instead of native ones.")]
CaseIds = Annotated[tuple[str, ...], Doc("Only these cases; several are separated by commas.")]
SourceGroup = Annotated[
    str, Doc("A group: all, diffusers, wan21, wan22, ltx, ltx23, smoke, a native suite, or one of your own.")
]
On = Annotated[
    str,
    Doc("Run on this GPU kind whatever a case needs, or on any; the manifest says so."),
    OneOf(GpuKind),
]
PerCase = Annotated[bool, Doc("A job for each case, instead of one for each model or part of a suite.")]
Cases = Annotated[
    Folder, Doc("A folder of case files, instead of those of this project."), FromCaller("cases"), Typed(default="ours")
]
Artifact = Annotated[Folder, Doc("The artifact: a folder with images and manifest.json.")]
ServingCheckout = Annotated[
    Folder | None, Doc("A checkout of the serving engine that makes the native cases; its repository if not given.")
]
Published = Annotated[
    Folder | None,
    Doc("Published GT of the same GPU kind: a directory, or a git repository as URL#REF:PATH."),
    Typed(repository=True),
]
ImagesOnly = Annotated[bool, Doc("Take the images as they are: the directory has no manifest.")]
TargetDir = Annotated[str, Doc("Publish here, instead of the mode's directory.")]
Ref = Annotated[str, Doc("Ref of the CI run."), Typed(variable="GITHUB_REF")]
MatrixFile = Annotated[Path, Doc("The CI matrix, as gt matrix printed it.")]
Devices = Annotated[tuple[str, ...], Doc("Only these GPUs, by number as nvidia-smi counts; all if none is named.")]
Models = Annotated[Folder | None, Doc("DIR/<owner>/<name> stands in for repositories, DIR/inputs/<file> for inputs.")]
Slurm = Annotated[
    str | None,
    Doc("Run each job as a task of a job array of this Slurm partition; without a name, of the default one."),
    Typed(value="PARTITION"),
]
SlurmSite = Annotated[
    Path | None,
    Doc("A file of the cluster's words: how its GPUs are asked for, containers, options; see docs/run/slurm.md."),
    Typed(variable="GT_SLURM_SITE"),
]


def check_checkout(engine: Folder | None, *, native: bool) -> None:
    """Raises GtError for a serving engine's checkout that makes none of the cases."""
    if engine is not None and not native:
        raise GtError("--engine names the serving engine that makes native cases, and these are none; leave it out")


def read_text(path: Path) -> str:
    """The text of a file that the caller names. Raises GtError."""
    with reading(path):
        return path.read_text(encoding="utf-8")


def write_text(path: Path, text: str) -> None:
    """Write a file that the caller names, and the folders that it lies in. Raises GtError."""
    with writing(path, advice="choose another one"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def site_of(file: Path | None) -> Site:
    """The cluster's words; plain ones where no file is named. Raises SiteError."""
    if file is None:
        return Site()
    with reading(file):
        data = file.read_bytes()
    return slurm.read(file.name, data)

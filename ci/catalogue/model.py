"""A case as data: the one model that validates `cases/*.yaml`, and that their JSON Schema is made from.

A key that stands in a case's `call` is passed to the implementation, null included; a key that does not stand there is
not passed. What is not established is left out and explained under `open`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, TypeAdapter, model_validator

from ..errors import near
from .fields import ALL, MODES, CaseBase, Code, GroupName, Id, Input, Latents, Line, SourceName, Strict, TinyModel
from .native import ServingCase, ServingEngine
from .official import OFFICIAL_SOURCES, DiffusersCase, LtxCase, SmokeCase, Wan21Case, Wan22Case

IMAGES = ("torch", "fetch", "check", "compare")  # of ours, beside those of the sources
RESERVED = (*OFFICIAL_SOURCES, *MODES, ALL, *IMAGES)

AnyCase = DiffusersCase | SmokeCase | Wan21Case | Wan22Case | LtxCase | ServingCase
C = TypeVar("C", bound=CaseBase)


def _check_known(by_name: list[str], names: set[str], what: str) -> None:
    for name in by_name:
        if name not in names:
            raise ValueError(f"{what} of its cases in by_name; {name!r} is none: {near(name, names)}")


class CaseFile(Strict, Generic[C]):
    """One file of cases of one source."""

    version: Literal[1] = Field(description="Version of this file format.")
    by_name: list[GroupName] = Field(
        default_factory=list,
        description="Groups that a run makes only where it names them, as source group, or a case of theirs.",
    )
    cases: dict[Id, C] = Field(min_length=1)
    unavailable: dict[Id, Line] = Field(
        default_factory=dict, description="Native cases that have no official counterpart, and why."
    )

    @model_validator(mode="after")
    def _of_its_cases(self) -> Self:
        _check_known(self.by_name, {group for case in self.cases.values() for group in case.groups}, "groups")
        return self


class DiffusersFile(CaseFile[DiffusersCase]):
    """Cases for Diffusers pipelines."""

    source: Literal["diffusers"]


class SmokeFile(CaseFile[SmokeCase]):
    """Cases for trying out."""

    source: Literal["smoke"]


class Wan21File(CaseFile[Wan21Case]):
    """Cases for the Wan2.1 repository."""

    source: Literal["wan21"]
    code: Code


class Wan22File(CaseFile[Wan22Case]):
    """Cases for the Wan2.2 repository."""

    source: Literal["wan22"]
    code: Code


class LtxFile(CaseFile[LtxCase]):
    """Cases for the LTX-2 repository."""

    source: Literal["ltx"]
    code: Code


def _of_their_own(name: str) -> str:
    if name in RESERVED:
        raise ValueError(f"the name of a serving engine; {name!r} is one of ours")
    return name


class ServingFile(Strict):
    """Native cases of one serving engine. The key `engine` makes a file one of these."""

    version: Literal[1] = Field(description="Version of this file format.")
    source: Annotated[SourceName, AfterValidator(_of_their_own)] = Field(
        description="A name for the serving engine; none of our own sources."
    )
    engine: ServingEngine
    by_name: list[Id] = Field(
        default_factory=list,
        description="Suites that a run makes only where it names them, as source group, or a case of theirs.",
    )
    cases: dict[Id, ServingCase] = Field(min_length=1)
    unavailable: dict[Id, Line] = Field(
        default_factory=dict, description="Cases of the serving engine that cannot be made here, and why."
    )

    @model_validator(mode="after")
    def _of_its_cases(self) -> Self:
        _check_known(
            self.by_name, {name for case in self.cases.values() for name in (case.suite, *case.also)}, "suites"
        )
        return self


OurFile = Annotated[DiffusersFile | SmokeFile | Wan21File | Wan22File | LtxFile, Field(discriminator="source")]
AnyFile = OurFile | ServingFile

_ours, _serving = TypeAdapter[Any](OurFile), TypeAdapter[Any](ServingFile)


def model_of(content: object) -> TypeAdapter[Any]:
    """The model that validates a case file of this content."""
    return _serving if isinstance(content, dict) and "engine" in content else _ours


@dataclass(frozen=True)
class Case:
    """One validated case with what its file says of all of its cases."""

    id: str
    source: str
    spec: AnyCase
    code: Code | None
    file: Path  # where it stands; relative inputs start from its folder
    serving: ServingEngine | None = field(default=None, kw_only=True)  # what makes it, if it is native
    by_name: bool = field(default=False, kw_only=True)  # its group or suite is made only where a run names it

    @property
    def model(self) -> str:
        """The name of the model, for people and for grouping."""
        model = self.spec.model
        return f"tiny/{model.tiny}" if isinstance(model, TinyModel) else model.repo

    @property
    def official(self) -> bool:
        """Whether the model's official implementation runs it."""
        return self.source in OFFICIAL_SOURCES

    @property
    def repositories(self) -> list[str]:
        """The repositories of the model hub that it needs, the model's first."""
        spec = self.spec
        if isinstance(spec, SmokeCase):
            return []
        others = [spec.text_encoder] if isinstance(spec, LtxCase) else getattr(spec, "loras", [])
        return [spec.model.repo, *(other.repo for other in others)]

    @property
    def inputs(self) -> list[Input]:
        """Its input images; a native case names its own to the serving engine."""
        return [] if isinstance(self.spec, ServingCase) else self.spec.inputs

    @property
    def latents(self) -> Latents | None:
        """The first noise that it names, if it does."""
        return getattr(self.spec, "latents", None)

    @property
    def assumed(self) -> bool:
        """Whether its minutes are no estimate of it, since its file gives none."""
        return "minutes" not in self.spec.needs.model_fields_set

    @property
    def suites(self) -> list[str]:
        """The suites of the serving engine's tests in which it stands, its own first; none of an official case."""
        return [self.spec.suite, *self.spec.also] if isinstance(self.spec, ServingCase) else []

    @property
    def groups(self) -> list[str]:
        """The groups in which it stands; the suites are groups too."""
        return [*self.spec.groups, *self.suites]

    def in_suite(self, suite: str) -> Case:
        """The case as it stands in one of its suites, and in no other; itself for another name."""
        if not isinstance(self.spec, ServingCase) or suite not in self.spec.also:
            return self
        data = self.spec.model_dump(mode="json", exclude_unset=True, exclude={"also"})
        data |= {"suite": suite, "needs": self.spec.also[suite].model_dump(mode="json", exclude_unset=True)}
        return replace(self, spec=ServingCase.model_validate(data))

    def data(self) -> dict[str, Any]:
        """The whole case as JSON: just what its file says, nothing filled in."""
        data: dict[str, Any] = {"id": self.id, "source": self.source}
        data |= self.spec.model_dump(mode="json", exclude_unset=True)
        if self.code is not None:
            data["code"] = self.code.model_dump(mode="json")
        if self.serving is not None:
            data["engine"] = self.serving.model_dump(mode="json", exclude_unset=True)
        return data

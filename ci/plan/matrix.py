"""Reads a CI matrix back, as `gt matrix` printed it and a CI's variables and files have carried it since."""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, Field, ValidationError

from ..errors import GtError, printable
from ..words import first_mistake

Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class Entry(BaseModel):
    """A job of the matrix; who reads it names the further keys that it needs."""

    job: Word
    case_ids: str = Field(pattern=r"^[A-Za-z0-9._ -]+$")

    @property
    def cases(self) -> list[str]:
        """The job's cases."""
        return self.case_ids.split()


E = TypeVar("E", bound=Entry)


class _Matrix(BaseModel, Generic[E]):
    include: list[E] = Field(min_length=1)


def entries(text: str, entry: type[E]) -> list[E]:
    """The jobs of a matrix. Raises GtError where the text is none."""
    try:
        return _Matrix[entry].model_validate_json(text).include  # type: ignore[valid-type]  # a type, at run time
    except ValidationError as error:
        raise GtError(f"this is no matrix: {printable(first_mistake(error))}; `gt matrix` prints one") from None

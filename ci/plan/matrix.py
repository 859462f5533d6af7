"""Reads a CI matrix back, as `gt matrix` printed it and a CI's variables and files have carried it since."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from ..catalogue.gpus import ANY
from ..errors import GtError, printable
from ..words import first_mistake
from .jobs import ANYWHERE

Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class Entry(BaseModel):
    """A job of the matrix. A CI may carry its name and cases alone."""

    job: Word
    case_ids: str = Field(pattern=r"^[A-Za-z0-9._ -]+$")
    gpu: str = ANY
    runner: Word = ANYWHERE

    @property
    def cases(self) -> list[str]:
        """The job's cases."""
        return self.case_ids.split()


class _Matrix(BaseModel):
    include: list[Entry] = Field(min_length=1)


def entries(text: str) -> list[Entry]:
    """The jobs of a matrix. Raises GtError where the text is none."""
    try:
        return _Matrix.model_validate_json(text).include
    except ValidationError as error:
        raise GtError(f"this is no matrix: {printable(first_mistake(error))}; `gt matrix` prints one") from None

"""What sglang's test suites defined when our cases were last compared with them: the digest of each definition's text.

It lies beside the case files, in `upstream/sglang.json`. The text itself stays in sglang's own history.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from ...errors import DefinitionsError, printable
from ...words import first_mistake
from .. import bounded
from ..fields import Id, RepoName, Sha256, Strict
from ..native import GitRef
from .texts import Definition

FILE = Path("upstream/sglang.json")
MOST_BYTES = 4 * 2**20


class Record(Strict):
    """The digests of a checkout's definitions."""

    repo: RepoName = Field(description="The repository whose definitions these are.")
    ref: GitRef = Field(description="The commit or tag of it.")
    definitions: Annotated[dict[Id, Sha256], Field(min_length=1)] = Field(
        description="The sha256 of the text that defines each case, as ci/catalogue/upstream/texts.py puts it together."
    )


def digest(definition: Definition) -> str:
    """The digest of a definition: of its place and its text."""
    return hashlib.sha256(str(definition).encode()).hexdigest()


def read(folder: Path) -> Record:
    """What is recorded beside the case files of a folder. Raises DefinitionsError where there is nothing."""
    path = folder / FILE
    advice = "`python -m ci.catalogue.upstream CHECKOUT REF --cases DIR` writes it from a checkout"
    try:
        return Record.model_validate_json(bounded.content(path, MOST_BYTES))
    except ValidationError as error:
        problem = printable(first_mistake(error))
        raise DefinitionsError(f"{path} is no record of definitions: {problem}; {advice}") from None
    except ValueError as error:
        raise DefinitionsError(f"{path}: expected {error}; {advice}") from None


def write(folder: Path, record: Record) -> Path:
    """Write the record beside the case files of a folder, and say where."""
    path = folder / FILE
    path.parent.mkdir(exist_ok=True)
    path.write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return path

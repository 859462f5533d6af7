"""What Dagger 1.0 writes another way than 0.21, of its command line and its API: here, and nowhere else in this module.

It is written as 0.21 has it, which the pre-releases of 1.0 take too, as older names. The files that CI systems read
have a `call` of their own each, since none of them can import this.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import dagger

CALL = "dagger call"  # calls a function of a module; in 1.0 `dagger api call`
CORE = "dagger core"  # calls a function of the engine itself; in 1.0 `dagger -m core api call`


def from_caller(path: str | None, without: Sequence[str]) -> list[Any]:
    """Marks of a folder argument: it is this path of the module's repository where none is given, less these patterns.

    In 1.0 an argument of type Workspace can stand in for both.
    """
    from dagger import DefaultPath, Ignore  # noqa: PLC0415  # a client takes longer to import than most commands run

    return [*([DefaultPath(path)] if path else []), *([Ignore(list(without))] if without else [])]


async def commit_of(ref: dagger.GitRef) -> str:
    """The commit that a ref stands at; in 1.0 its field is `commit_sha`."""
    return await ref.commit()

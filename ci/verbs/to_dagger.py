"""Hangs verbs onto the Dagger module: a verb's fields become arguments of a function, its answer what that returns."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Protocol, get_type_hints

import anyio
import dagger
from dagger import Doc, enum_type, function
from dagger.mod._exceptions import FunctionError  # what the SDK reports without a traceback

from ..errors import GtError
from ..run import transfer
from ..run.dagger_interface import from_caller
from ..run.wording import of_the_module
from .answers import Answer
from .choices import GpuKind, PublishWay, Source
from .fields import REQUIRED, Field, Verb, check, fields, help_of, name_of, several
from .options import Folder, FromCaller, OneOf, Secret, Written

TRACE = re.compile(r" ?\[traceparent:[^\]]*\]")  # in what the engine says of its own errors
TYPES: Mapping[type, type] = {Folder: dagger.Directory, Path: dagger.File, Secret: dagger.Secret}
for words in (GpuKind, PublishWay, Source):
    enum_type(words)


class VerbOnEngine(Protocol):
    """A verb with a body of its own for the engine. What `run_on_engine` returns is what the function returns."""

    async def run_on_engine(self) -> Any:
        """Do it."""


def call(verb: type[Verb] | type[VerbOnEngine], *, cache: str | None = None) -> Any:
    """The function of the Dagger module that runs a verb; `cache` is Dagger's policy for its calls."""
    options = [field for field in fields(verb) if field.mark(Written) is None]
    own_body: Any = getattr(verb, "run_on_engine", None)

    async def run(self: Any, **values: Any) -> Any:  # noqa: ARG001  # the module has no state
        with plain_errors():
            arguments: Any = {field.name: await _value(field, values[field.name]) for field in options}
            return await (_run(verb, arguments) if own_body is None else own_body(verb(**arguments)))

    result = _gives(verb) if own_body is None else get_type_hints(own_body)["return"]
    parameters = [_parameter(field) for field in options]
    receiver = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    run.__name__ = name_of(verb).replace("-", "_")
    run.__doc__ = help_of(verb)
    run.__signature__ = inspect.Signature([receiver, *parameters])  # type: ignore[attr-defined]  # what the SDK reads
    run.__annotations__ = {each.name: each.annotation for each in parameters} | {"return": result}
    return function(cache=cache)(run)  # type: ignore[call-overload]  # the stubs of 0.21.11 lack `cache`


async def _run(verb: Any, values: Mapping[str, Any]) -> Any:
    """Run a verb that has one body for both doors, on copies of its folders in this process."""
    copies = {name: await _near(name, value) for name, value in values.items()}
    target, folder = _written(verb), transfer.fresh_folder()
    if target is not None:
        copies[target[0]] = Folder(folder) if target[1].name is None else folder / target[1].name
    answer: Answer = await anyio.to_thread.run_sync(verb(**copies).run)
    if answer.bad:
        raise FunctionError(transfer.as_named(answer.words))
    if target is None:
        return transfer.as_named(answer.words)
    directory = transfer.folder(folder)
    return await (directory if target[1].name is None else directory.file(target[1].name)).sync()


async def _near(name: str, value: Any) -> Any:
    if isinstance(value, Folder):
        return Folder(await transfer.exported(value.directory, name))
    return await value.plain() if isinstance(value, Secret) else value


def _written(verb: type) -> tuple[str, Written] | None:
    """The field that says where the verb writes, if it writes."""
    return next(((field.name, mark) for field in fields(verb) if (mark := field.mark(Written)) is not None), None)


def _gives(verb: type) -> type:
    target = _written(verb)
    if target is None:
        return str
    return dagger.Directory if target[1].name is None else dagger.File


def _parameter(field: Field) -> inspect.Parameter:
    """An option as the SDK reads it."""
    marks: list[Any] = [Doc(field.help)]
    choice, default = field.mark(OneOf), field.default
    kind: Any = choice.words if choice is not None else TYPES.get(field.kind, field.kind)
    if field.kind is tuple:
        kind, default = list[field.inner], None  # type: ignore[name-defined]  # a value, not a name
    if isinstance(default, Folder):  # of `gt`: the module does not see the folder in which its caller stands
        default = REQUIRED
    if (source := field.mark(FromCaller)) is not None:
        marks += from_caller(source.path, source.without)
    if choice is not None and default is not REQUIRED:
        default = choice.words(default)
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if default is REQUIRED else default,
        annotation=Annotated[kind | None if default is None else kind, *marks],
    )


async def _value(field: Field, value: Any) -> Any:
    """A field's value from an argument. A file is copied here, a folder stays on the engine."""
    if field.kind is tuple:
        return several(field, value) if value is not None and field.inner is str else tuple(value or ())
    if value is None:
        return None
    check(field, field.option, value)
    if field.mark(OneOf) is not None:
        return value.value
    if field.kind is Path:
        return await transfer.exported_file(value)
    if field.kind is Folder:
        return Folder(directory=value)
    return Secret(secret=value) if field.kind is Secret else value


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turns a GtError into a Dagger error without a traceback; of a group, all GtErrors into one."""
    try:
        yield
    except GtError as error:
        raise FunctionError(_said(error)) from None
    except BaseExceptionGroup as group:  # of jobs side by side
        ours, others = group.split(GtError)
        if ours is not None:
            raise FunctionError("\n".join(dict.fromkeys(map(_said, _leaves(ours))))) from None
        assert others is not None  # noqa: S101  # a group is never empty
        raise next(_leaves(others)) from None  # the rest were cancelled because of it


def _said(error: BaseException) -> str:
    """The message, with the caller's names of folders and advice that can be followed on an engine."""
    return of_the_module(transfer.as_named(TRACE.sub("", str(error))))


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error

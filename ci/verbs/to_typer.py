"""Hangs verbs onto Typer: a verb's fields become options of `gt`, its answer output and exit status."""

from __future__ import annotations

import inspect
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from ..artifact.manifest import NAME as MANIFEST
from ..errors import GtError, reading
from .answers import print_text, say
from .fields import REQUIRED, Field, Verb, check, fields, help_of, several
from .options import Folder, OneOf, Secret, Written

METAVARS = {Folder: "DIR", Path: "FILE", tuple: "NAMES", str: "TEXT", int: "NUMBER", float: "NUMBER"}  # in the help


class Command(TyperCommand):
    """Takes an option like `--slurm [PARTITION]` with a value or alone, which Typer cannot."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Give an option that stands alone the empty value."""
        optional = {name for each in self.params if str(each.metavar).startswith("[") for name in each.opts}
        pairs = itertools.pairwise([*args, "-"])
        words = [f"{arg}=" if arg in optional and successor.startswith("-") else arg for arg, successor in pairs]
        return super().parse_args(ctx, words)


def command(verb: type[Verb]) -> Callable[..., None]:
    """The command of `gt` that runs a verb."""
    options = list(fields(verb))

    def run(**words: Any) -> None:
        answer = verb(**{field.name: _value(field, words) for field in options}).run()
        for line in answer.lines:
            say(line)
        if answer.text:
            print_text(answer.text.removesuffix("\n"))
        raise typer.Exit(answer.status)

    parameters = [_parameter(field) for field in options if field.kind is not Secret]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what Typer reads
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__doc__ = help_of(verb)
    return run


def _parameter(field: Field) -> inspect.Parameter:
    """An option as Typer reads it."""
    details: dict[str, Any] = {"help": field.help, "envvar": field.typed.variable}
    if (choice := field.mark(OneOf)) is not None:  # where there is nothing of ours to complete, shells complete paths
        details["autocompletion"] = _completion([word.value for word in choice.words])
    if field.typed.default is not None:
        details["show_default"] = field.typed.default
    if field.typed.positional:
        info = typer.Argument(**details)
    else:
        value = field.typed.value
        details["metavar"] = METAVARS.get(field.kind) if value is None else f"[{value}]"
        info = typer.Option(*_names(field), **details)
    kind: Any = {Folder: str, Path: str, tuple: list[str]}.get(field.kind, field.kind)
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=_default(field.default),
        annotation=Annotated[kind | None if field.optional else kind, info],
    )


def _completion(words: Sequence[str]) -> Callable[[str], list[str]]:
    def complete(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return complete  # Typer reads a function's own parameters, and takes no partial


def _names(field: Field) -> tuple[str, ...]:
    """In full, so that a switch has no --no-… beside it."""
    return ("-o", "--output") if field.mark(Written) is not None else (field.typed.name or field.option,)


def _default(default: Any) -> Any:
    if default is REQUIRED:
        return inspect.Parameter.empty
    if isinstance(default, Folder):
        return default.address
    return None if default == () else default


def _value(field: Field, words: Mapping[str, Any]) -> Any:
    """A field's value from what was typed. Raises GtError for an empty one that must name something."""
    if field.kind is Secret:
        text = os.environ.get(field.typed.variable or "")
        return Secret(text) if text else None
    value = words[field.name]
    if field.kind is tuple:  # repeated, or separated by spaces or commas
        return several(field, value) if value else ()
    check(field, field.name.upper() if field.typed.positional else field.typed.name or field.option, value)
    if value is None or field.kind not in (Folder, Path):
        return value
    return _folder(field, value) if field.kind is Folder else Path(value)


def _folder(field: Field, value: str) -> Folder:
    """Raises GtError for a path that no folder can have, and for an optional folder that is not there to be read."""
    if field.typed.repository and "#" in value:
        return Folder(value)
    path = Path(value)
    with reading(path):  # the name is too long, or it lies behind a folder that is closed to this user
        is_folder, is_file = path.is_dir(), path.is_file()
    if field.mark(Written) is not None:
        return Folder(value)
    if path.name == MANIFEST and is_file:  # it stands for its folder
        return Folder(path.parent)
    if field.optional and not is_folder:
        what = "is a file; name a directory" if is_file else "there is no such directory"
        raise GtError(f"{field.option} {value}: {what}")
    return Folder(value)

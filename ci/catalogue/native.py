"""Native cases: the serving engine that makes them, and what it lets a case say."""

from __future__ import annotations

import string
from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, model_validator

from .fields import FolderPath, GroupName, Line, Minutes, Needs, RepoName, Repository, Strict, SuiteName

ASSUMED_MINUTES = 5.0  # of a native case without an estimate: upstream's 300 s

GitRef = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./+-]*$")]
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


def _template(text: str, names: Iterable[str]) -> str:
    """The text, if it names nothing but these in braces, and is one argument of a command."""
    try:
        fields = [field[1:] for field in string.Formatter().parse(text)]
    except ValueError as error:
        raise ValueError(f"a template ({error}); a brace that is none of it is written twice") from None
    for name, form, conversion in fields:
        if name is not None and (name not in names or form or conversion):
            choices = ", ".join(f"{{{each}}}" for each in names)
            raise ValueError(f"a template of {choices}, got {{{name}}}; a brace that is none of it is written twice")
    if "\0" in text:
        raise ValueError("no NUL character: no argument of a command can hold one")
    return text


# Templates: substituted in each argument by itself, never through a shell.
PER_CASE = ("engine", "case", "suite", "model", "out")
OfCheckout = Annotated[str, AfterValidator(lambda text: _template(text, PER_CASE[:1]))]
OfCase = Annotated[str, AfterValidator(lambda text: _template(text, PER_CASE))]


class ServingEngine(Strict):
    """The serving engine that makes native cases: its checkout, and the command that makes one case.

    In templates, {engine} is the checkout's folder, {case}, {suite} and {model} are the case's, and {out} is an empty
    folder for its files.
    """

    repo: RepoName = Field(description="Its repository on GitHub, unless the caller gives a checkout.")
    ref: GitRef = Field("main", description="Branch, tag or commit of it.")
    install: list[Annotated[list[OfCheckout], Field(min_length=1)]] = Field(
        default_factory=list, description="Commands that install it into its image, in which uv is; with {engine}."
    )
    command: Annotated[list[OfCase], Field(min_length=1)] = Field(description="Makes one case, and then ends.")
    folder: FolderPath = Field(".", description="Of the checkout; the command starts in it.")
    environment: dict[VariableName, OfCheckout] = Field(
        default_factory=dict, description="Variables of its installation and of the command; with {engine}."
    )


class ServingNeeds(Needs):
    """As everywhere; the minutes may be left out."""

    minutes: Minutes = Field(
        ASSUMED_MINUTES, description="Expected minutes, for planning only; 5 are assumed where they are left out."
    )


class ServingImage(Strict):
    """One image, as the serving engine encoded it: `<case>_<name_gpus>gpu.<format>`."""

    kind: Literal["image"]
    format: Literal["jpg", "png", "webp"]
    name_gpus: int = Field(ge=1, description="The GPU number in the file name.")


class ServingVideo(Strict):
    """Three frames, as the serving engine took them: `<case>_<name_gpus>gpu_frame_{0,mid,last}.png`."""

    kind: Literal["video"]
    format: Literal["png"]
    name_gpus: int = Field(ge=1, description="The GPU number in the file names.")


class ServingCase(Strict):
    """A native case: the serving engine makes it, by what its own tests define under the same id."""

    suite: SuiteName = Field(description="Cases of one suite are made side by side, in parts of about half an hour.")
    model: Repository = Field(description="What the serving engine loads; it fetches that itself.")
    needs: ServingNeeds
    also: dict[SuiteName, ServingNeeds] = Field(
        default_factory=dict,
        description="Other suites in which it stands, each with what it needs there. The suite's name as source group "
        "selects it so; a run makes a case once.",
    )
    groups: list[GroupName] = Field(default_factory=list)
    arguments: list[OfCase] = Field(
        default_factory=list,
        description="Follow the command, where the serving engine's own tests do not define the case.",
    )
    output: Annotated[ServingImage | ServingVideo, Field(discriminator="kind")]
    definition: dict[str, JsonValue] = Field(
        default_factory=dict, description="What the serving engine's tests say of it, for a reader."
    )
    notes: list[Line] = Field(default_factory=list, description="What a reader of the reference must know.")
    open: dict[Line, Line] = Field(
        default_factory=dict, description="Keys that are not established, and what is known."
    )

    @model_validator(mode="after")
    def _each_suite_once(self) -> Self:
        if self.suite in self.also:
            raise ValueError(f"other suites under also; {self.suite!r} is the case's own, whose needs are under needs")
        return self

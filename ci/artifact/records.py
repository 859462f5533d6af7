"""The records of a run and of a case, as the manifest holds them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator

from ..catalogue.fields import Commit, FileName, Id, PathName, RelativePath, RepoName, SourceName

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]


def instant(text: str) -> datetime:
    """The moment that a time of a manifest names. Raises ValueError."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError("a time with its offset from UTC, such as 2026-01-31T12:00:00+00:00")


def _time(text: str) -> str:
    instant(text)
    return text


def _finite(value: JsonValue) -> JsonValue:
    """JSON has no NaN and no infinity, and Python's reader takes them all the same."""
    if any(not math.isfinite(number) for number in _numbers(value)):
        raise ValueError("numbers that are finite")
    return value


def _numbers(value: JsonValue) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    elif isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _numbers(each)


Time = Annotated[str, AfterValidator(_time)]
Json = Annotated[JsonValue, AfterValidator(_finite)]


class ManifestPart(BaseModel):
    """Unknown keys are refused: a manifest is read by other programs."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)


class Tool(ManifestPart):
    """The diffusion-gt that made the artifact."""

    version: str
    commit: Commit | None = Field(description="Of its checkout, or of the git module; null where that is not known.")
    dirty: bool | None = Field(description="Whether there were changes that no commit has; null where not known.")
    ref: str | None = Field(None, description="Of a Dagger module from git: its address and version, as asked for.")
    source: Annotated[str, Field(pattern=r"^[a-z0-9]+:[0-9a-f]+$")] | None = Field(
        None, description="Of a Dagger module: a digest of its source, as Dagger has it."
    )


class Selected(ManifestPart):
    """What the caller asked for, and the cases that this meant."""

    mode: Literal["official", "native", "smoke"]
    source_group: str
    case_ids: list[Id]
    on: PathName | None = Field(description="The GPU kind that cases were moved to, whatever they need.")
    engine_ref: str | None = Field(
        None, description="Native: the ref of the serving engine's repository; null for a checkout of the caller's."
    )


class HostRecord(ManifestPart):
    """A machine that ran cases."""

    gpu: PathName = Field(description="The GPU kind that it offers; cpu where it has none.")
    gpu_name: str | None
    engine: str | None = Field(description="Version of its Dagger engine; null for a run without containers.")


class RemoteRecord(HostRecord):
    """A host that jobs were sent to."""

    name: str
    cases: list[Id] = Field(description="Those that it ran.")
    started: Time | None = Field(None, description="When the first of its jobs began.")
    ended: Time | None = Field(None, description="When the last of its jobs ended.")


class MoveRecord(ManifestPart):
    """A job that went on from a host that failed."""

    cases: list[Id]
    host: str
    reason: str


class RunRecord(ManifestPart):
    """The run that wrote the artifact. Times stand here, in `process` and in `seconds`, and nowhere else."""

    tool: Tool
    selection: Selected
    host: HostRecord = Field(description="The machine that the run was started on.")
    hosts: list[RemoteRecord] = Field(default_factory=list, description="Those that jobs were sent to.")
    moves: list[MoveRecord] = Field(default_factory=list)
    started: Time
    ended: Time
    made: list[Id] = Field(description="Cases that this run generated; the others were made before.")
    kept: dict[Id, str] = Field(
        default_factory=dict,
        description="Cases that this run tried and did not finish, with the reason; their records and files are those "
        "of an earlier run into the same directory.",
    )


class ImageRecord(ManifestPart):
    """The container image that ran the case."""

    reference: str
    digest: Digest | None = Field(None, description="Where it was pulled by digest.")
    recipe: Digest | None = Field(None, description="Where it was built: base digest, lock files, runner code.")


class FileRecord(ManifestPart):
    """One file of the artifact."""

    name: FileName = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    size: Count = Field(description="Bytes.")
    sha256: Hex
    width: Count = Field(description="Pixels.")
    height: Count = Field(description="Pixels.")


class WeightsRecord(ManifestPart):
    """A model repository as it was on the machine."""

    repo: RepoName
    commit: Commit | None = Field(description="Null where a local folder stood in.")
    digest: Digest = Field(description="Over name, size and sha256 of each file; the sha256 taken once, at download.")
    bytes: Count


class CodeRecord(ManifestPart):
    """The checkout of an official implementation, or of the serving engine that made a native case."""

    repo: RepoName
    commit: Commit | None = Field(
        description="Null for a serving engine's checkout that is no commit of its repository."
    )
    identity: str = Field(description="The commit where it was verified, else a digest of the tree.")


class InputRecord(ManifestPart):
    """An input as it was used."""

    url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    path: RelativePath | None = None
    sha256: Hex
    normalised: list[str] = Field(
        default_factory=list, description="What was not plain RGB in the file, and was made so when it was read."
    )


class ProcessRecord(ManifestPart):
    """Identifies the process that generated the case, so that a cached result can be recognised."""

    id: str
    started: Time
    nonce: str | None = Field(description="Set by a run that bypasses the result store.")


class GpuRecord(ManifestPart):
    """What the case ran on."""

    kind: PathName
    name: str | None
    memory_bytes: int | None
    multiprocessors: int | None = Field(
        None, description="Streaming multiprocessors: CUDA's noise depends on their number. Null: not known."
    )


class PeakMemory(ManifestPart):
    """Bytes."""

    host_bytes: int
    gpu_bytes: int | None


class Seconds(ManifestPart):
    """Seconds of each phase. `fetch` and `load` are the job's; they are shared by the cases that one model ran.

    A serving engine loads and fetches within its one command: all of it is `generate`.
    """

    fetch: float
    load: float
    generate: float
    save: float


class Difference(ManifestPart):
    """A file that came out otherwise when its case was made twice."""

    name: str
    max_abs: int | None = Field(description="Largest difference of a value, in 0..255; null where sizes differ.")
    mean_abs: float | None = Field(description="Mean difference over all values, in 0..255; null where sizes differ.")


class Verification(ManifestPart):
    """What making a case a second time gave: in another process, past the result store, in the reverse order."""

    process: ProcessRecord | None = Field(None, description="The second one; null where it did not finish the case.")
    reason: str | None = Field(None, description="Why the second one failed.")
    differences: list[Difference] = Field(
        default_factory=list, description="Files that are not byte for byte the same."
    )


class InitialLatent(ManifestPart):
    """The first noise of a case: as its generator drew it, before scaling and packing, or as the case gives it."""

    sha256: Hex | None = Field(description="Of the tensor's bytes; null where it is not known.")
    shape: list[int] | None
    dtype: str | None
    reason: str | None = Field(description="Why it is not known.")
    given: str | None = Field(
        None, description="The file or URL that the case takes it from; null where its generator drew it."
    )


class Resized(ManifestPart):
    """The size that reached the implementation, where it made files of another one."""

    width: int = Field(description="Pixels.")
    height: int = Field(description="Pixels.")
    reason: str


class CaseRecord(ManifestPart):
    """One case. A case that is not `ok` has a reason and no files."""

    status: Literal["ok", "failed", "skipped"]
    reason: str | None = None
    log: list[str] = Field(default_factory=list, description="The end of the log of a failed case.")
    source: SourceName
    case: dict[str, Json] = Field(description="The whole case, as its file has it.")
    key: Digest | None = None
    pipeline: str | None = Field(None, description="Class that ran it.")
    passed: dict[str, Json] = Field(
        default_factory=dict, description="Arguments that reached the implementation; the command of a serving engine."
    )
    dropped: list[str] = Field(default_factory=list, description="Arguments of the case that it does not take.")
    seed: int | None = None
    generator_device: str | None = None
    dtype: str | dict[str, str] | None = Field(None, description="Of all components, or by component.")
    initial_latent: InitialLatent | None = Field(None, description="Null in records of older versions.")
    resized: Resized | None = Field(None, description="Null where the files have the size that was asked for.")
    inputs: list[InputRecord] = Field(default_factory=list)
    weights: list[WeightsRecord] = Field(
        default_factory=list, description="None where a serving engine fetched for itself."
    )
    code: CodeRecord | None = None
    image: ImageRecord | None = Field(None, description="Null for a run without containers.")
    runner: Digest | None = Field(None, description="Of the runner's code.")
    environment: Digest | None = Field(None, description="Of the Python environment: every installed version.")
    versions: dict[str, str | None] = Field(default_factory=dict)
    isolation: str | None = Field(
        None, description="How the network was kept away while generating; none: a serving engine needs it."
    )
    global_rng_used: list[str] = Field(
        default_factory=list, description="Global generators that the case advanced: noise from outside of its own."
    )
    gpu: GpuRecord | None = None
    peak_memory: PeakMemory | None = None
    seconds: Seconds | None = None
    process: ProcessRecord | None = None
    reproducible: bool | None = Field(None, description="Made twice, byte for byte the same; null: was not tried.")
    verification: Verification | None = None
    files: list[FileRecord] = Field(default_factory=list)

    @model_validator(mode="after")
    def _ok_means_files(self) -> Self:
        if (self.status == "ok") != bool(self.files):
            raise ValueError("files if, and only if, the status is ok")
        if self.status != "ok" and not self.reason:
            raise ValueError("a reason, since the status is not ok")
        return self


def timeless(record: CaseRecord) -> dict[str, Any]:
    """What a record holds, without what differs between two runs that say the same of a case."""
    return record.model_dump(exclude={"process", "seconds", "peak_memory", "log"})


def unfinished(case: dict[str, Any], status: Literal["failed", "skipped"], reason: str, log: list[str]) -> CaseRecord:
    """The record of a case that has no files."""
    return CaseRecord(status=status, reason=reason, log=log, source=case["source"], case=case)

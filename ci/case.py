"""A case as data: the one model that validates `cases/*.yaml`, and that their JSON Schema is made from.

A key that stands in a case's `call` is passed to the implementation, null included; a key that does not stand there is
not passed. What is not established is left out and explained under `open`.
"""

from __future__ import annotations

import string
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    TypeAdapter,
    model_validator,
)

OFFICIAL_SOURCES = ("diffusers", "wan21", "ltx")
RESERVED = (*OFFICIAL_SOURCES, "smoke", "torch", "fetch", "check", "compare")  # names of images of ours
ASSUMED_MINUTES = 5.0  # where an engine's case has no estimate: upstream's 300 s

GpuKind = Literal["any", "h100", "h200", "b200", "b300", "gb200", "a100", "l40s", "l4", "4090", "5090"]
# YAML reads 5090 as a number; the kind is a name.
NeededGpu = Annotated[GpuKind, BeforeValidator(lambda kind: str(kind) if type(kind) is int else kind)]

CaseId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
GroupName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")]
RepoName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$")]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
SuiteName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
GitRef = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./+-]*$")]
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Pixels = Annotated[int, Field(ge=1, le=16384)]


class Strict(BaseModel):
    """Unknown keys are refused, values are never converted, and nothing changes after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Repository(Strict):
    """A repository on the model hub."""

    repo: RepoName
    revision: Commit | None = Field(
        None, description="A commit. Left open, the newest one is resolved when the run starts, and recorded."
    )
    files: list[str] | None = Field(None, description="Glob patterns of the files that are needed; all if left out.")


class Lora(Repository):
    """A LoRA that is loaded into the pipeline."""

    file: str | None = Field(None, description="The weight file in the repository, where it holds several.")
    strength: float = 1.0


class TinyModel(Strict):
    """A pipeline with tiny random weights, built on the spot."""

    tiny: str = Field(description="Class name of a Diffusers pipeline.")
    seed: int = Field(0, ge=0, description="Seed of the weights.")


class Code(Strict):
    """The git repository of an official implementation, at its pin."""

    repo: RepoName
    commit: Commit
    paths: list[str] = Field(description="Folders of the repository that go on the import path.")


class Needs(Strict):
    """What a case needs of a host."""

    gpu: NeededGpu
    gpus: int = Field(1, ge=1, le=16, description="GPUs that the run uses, whatever the published file name says.")
    vram_gb: float | None = Field(None, gt=0, description="GPU memory in GB (1e9 bytes) below which no run is tried.")
    minutes: float = Field(gt=0, description="Expected minutes, for planning only.")
    limit_minutes: float = Field(
        240, gt=0, description="After this the case is stopped as failed (240: upstream's job limit)."
    )


class Input(Strict):
    """An input image, by URL or by path relative to the case's file."""

    url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    path: str | None = None
    sha256: Sha256 | None = Field(None, description="Of the file's bytes. Left open, it is recorded when fetched.")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.url is None) == (self.path is None):
            raise ValueError("either url or path")
        return self


class Runtime(Strict):
    """What changes bits or memory and is no argument of the call. Named by every case, never a silent default."""

    dtype: Literal["bf16", "fp16", "fp32"]
    generator_device: Literal["cuda", "cpu"]
    attention: str = Field(description="sdpa (PyTorch's own), or the name of a backend that must be installed.")
    quantization: Literal["none"]
    offload: Literal["none", "model"] = Field(description="model: whole models leave the GPU between phases.")


class ImageOutput(Strict):
    """One image: `<case>_<name_gpus>gpu.<format>`."""

    kind: Literal["image"]
    format: Literal["jpg", "png"]
    name_gpus: int = Field(ge=1, description="The GPU number in the published file name; says nothing about the run.")
    quality: int | None = Field(None, ge=1, le=100, description="JPEG quality; jpg only, and required there.")
    subsampling: Literal["4:2:0", "4:2:2", "4:4:4"] | None = Field(
        None, description="JPEG chroma; jpg only, 4:2:0 if left out."
    )
    keep: Literal["first"] | None = Field(
        None, description="Which of several returned images (layers, samples) is kept."
    )

    @model_validator(mode="after")
    def _jpeg_only(self) -> Self:
        if self.format == "jpg" and self.quality is None:
            raise ValueError("quality, since format is jpg")
        if self.format != "jpg" and (self.quality is not None or self.subsampling is not None):
            raise ValueError("no quality and no subsampling, since format is not jpg")
        return self


class VideoOutput(Strict):
    """First, middle and last frame, read back from an encoded video: `<case>_<name_gpus>gpu_frame_{0,mid,last}.png`."""

    kind: Literal["video"]
    format: Literal["png"]
    name_gpus: int = Field(ge=1, description="The GPU number in the published file name; says nothing about the run.")
    fps: int = Field(ge=1, description="Frames per second of the encoded video.")
    codec: Literal["libx264"] = Field(description="Lossy: the frames are what this codec leaves of them.")
    video_quality: int = Field(ge=0, le=10, description="imageio's quality scale.")


Output = Annotated[ImageOutput | VideoOutput, Field(discriminator="kind")]


class CaseBase(Strict):
    """What the cases of all sources have in common."""

    needs: Needs
    groups: list[GroupName] = Field(default_factory=list)
    inputs: list[Input] = Field(default_factory=list)
    output: Output
    notes: list[str] = Field(default_factory=list, description="What a reader of the reference must know.")
    open: dict[str, str] = Field(default_factory=dict, description="Keys that are not established, and what is known.")


class DiffusersCall(Strict):
    """Arguments of a Diffusers pipeline's `__call__`; those that it does not take are dropped and recorded."""

    prompt: str
    negative_prompt: str | None = None
    width: Pixels | None = None
    height: Pixels | None = None
    num_frames: int | None = Field(None, ge=1)
    num_inference_steps: int = Field(ge=1)
    guidance_scale: float | None = None
    true_cfg_scale: float | None = None
    guidance_scale_2: float | None = None
    output_type: Literal["pil", "np", "pt"] | None = None
    seed: int = Field(ge=0, lt=2**63)
    extra: dict[str, JsonValue] = Field(
        default_factory=dict, description="Any other argument of the pipeline, by its name."
    )


class DiffusersCase(CaseBase):
    """A case that a Diffusers pipeline of the model's repository runs."""

    model: Repository
    pipeline: str | None = Field(
        None, description="The class that the repository must name; another one fails the case."
    )
    loras: list[Lora] = Field(default_factory=list)
    conditioning: Literal["flux", "qwen_edit", "qwen_layered", "raw"] | None = Field(
        None, description="How inputs and output are sized, see docs/cases.md; required where there are inputs."
    )
    call: DiffusersCall
    runtime: Runtime

    @model_validator(mode="after")
    def _inputs_are_conditioned(self) -> Self:
        if bool(self.inputs) != (self.conditioning is not None):
            raise ValueError("inputs and conditioning, both or neither")
        return self


class SmokeCase(DiffusersCase):
    """A case for trying out: a real Diffusers class, tiny random weights, no download."""

    model: TinyModel  # type: ignore[assignment]  # a smoke model is built, not fetched


class Wan21Call(Strict):
    """Arguments of the Wan2.1 repository's `WanT2V.generate`, under the names that all sources share."""

    prompt: str
    negative_prompt: str
    width: Pixels
    height: Pixels
    num_frames: int = Field(ge=1)
    num_inference_steps: int = Field(ge=1)
    guidance_scale: float
    flow_shift: float
    sample_solver: Literal["unipc", "dpm++"]
    seed: int = Field(ge=0, lt=2**63)


class Wan21Runtime(Runtime):
    """As everywhere, and where the text encoder runs."""

    t5_cpu: bool


class Wan21Case(CaseBase):
    """A case that the official Wan2.1 repository runs."""

    model: Repository
    config: str = Field(description="Key in the repository's WAN_CONFIGS.")
    call: Wan21Call
    runtime: Wan21Runtime


class LtxCheckpoint(Strict):
    """Files inside the model's repository."""

    file: str
    distilled_lora: str | None = None
    distilled_lora_strengths: list[float] | None = Field(None, description="One per stage that takes the LoRA.")
    spatial_upsampler: str | None = None


class LtxGuider(Strict):
    """Parameters of LTX's multi-modal guider."""

    cfg_scale: float
    stg_scale: float
    rescale_scale: float
    modality_scale: float
    skip_step: int
    stg_blocks: list[int]


class LtxTiling(Strict):
    """Tiling of the video decoder."""

    spatial_tile_px: int
    spatial_overlap_px: int
    temporal_tile_frames: int
    temporal_overlap_frames: int


class LtxImage(Strict):
    """An input that conditions a frame; it is re-encoded as one H.264 frame first."""

    input: int = Field(ge=0, description="Position in the case's inputs.")
    frame_idx: int = Field(ge=0)
    strength: float
    crf: int = Field(ge=0, le=51)


class LtxCall(Strict):
    """Arguments of an LTX-2 pipeline, under the names that all sources share."""

    prompt: str
    negative_prompt: str
    images: list[LtxImage] = Field(default_factory=list)
    width: Pixels
    height: Pixels
    num_frames: int = Field(ge=1)
    fps: float = Field(gt=0)
    num_inference_steps: int = Field(ge=1)
    stage_2_sigmas: list[float] | None = None
    video_guider: LtxGuider
    audio_guider: LtxGuider
    tiling: LtxTiling | None = None
    max_batch_size: int = Field(ge=1)
    enhance_prompt: bool
    seed: int = Field(ge=0, lt=2**63)


class SdpBackends(Strict):
    """Which kernels PyTorch's SDPA may choose from."""

    cudnn: bool
    flash: bool
    mem_efficient: bool
    math: bool


class LtxRuntime(Runtime):
    """As everywhere, and what the LTX generators set besides."""

    quantization: Literal["none", "fp8-cast"]  # type: ignore[assignment]  # wider than elsewhere
    sdp_backends: SdpBackends
    decode_audio: bool


class LtxCase(CaseBase):
    """A case that the official LTX-2 repository runs."""

    model: Repository
    pipeline: Literal["TI2VidTwoStagesPipeline", "TI2VidOneStagePipeline", "TI2VidTwoStagesHQPipeline"]
    checkpoint: LtxCheckpoint
    text_encoder: Repository
    call: LtxCall
    runtime: LtxRuntime

    @model_validator(mode="after")
    def _images_have_inputs(self) -> Self:
        missing = [image.input for image in self.call.images if image.input >= len(self.inputs)]
        if missing:
            raise ValueError(f"an input for each image; call.images names {missing}, inputs holds {len(self.inputs)}")
        return self


def _template(text: str, names: Iterable[str]) -> str:
    """The text, if it names nothing but these in braces, and is one argument of a command."""
    try:
        fields = [field[1:] for field in string.Formatter().parse(text)]
    except ValueError as error:
        raise ValueError(f"a template ({error}); a brace that is none of it is written twice") from None
    for name, form, conversion in fields:
        if name is not None and (name not in names or form or conversion):
            allowed = ", ".join(f"{{{each}}}" for each in names)
            raise ValueError(f"a template of {allowed}, got {{{name}}}; a brace that is none of it is written twice")
    if "\0" in text:
        raise ValueError("no NUL character: no argument of a command can hold one")
    return text


def _inside(path: str) -> str:
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise ValueError("a folder of the checkout")
    return path


def _native(source: str) -> str:
    if source in RESERVED:
        raise ValueError(f"the name of an engine; {source!r} is one of ours")
    return source


# Templates: substituted in each argument by itself, never through a shell.
PER_CASE = ("engine", "case", "suite", "model", "out")
OfCheckout = Annotated[str, AfterValidator(lambda text: _template(text, PER_CASE[:1]))]
OfCase = Annotated[str, AfterValidator(lambda text: _template(text, PER_CASE))]


class ServingEngine(Strict):
    """The engine that native cases are made by: its checkout, and the command that makes one case.

    In templates, {engine} is the checkout's folder, {case}, {suite} and {model} are the case's, and {out} is an empty
    folder for its files.
    """

    repo: RepoName = Field(description="Its repository on GitHub, unless the caller gives a checkout.")
    ref: GitRef = Field("main", description="Branch, tag or commit of it.")
    install: list[Annotated[list[OfCheckout], Field(min_length=1)]] = Field(
        default_factory=list, description="Commands that install it into its image, in which uv is; with {engine}."
    )
    command: Annotated[list[OfCase], Field(min_length=1)] = Field(description="Makes one case, and then ends.")
    folder: Annotated[str, AfterValidator(_inside)] = Field(
        ".", description="Of the checkout; the command starts in it."
    )
    environment: dict[VariableName, OfCheckout] = Field(
        default_factory=dict, description="Variables of its installation and of the command; with {engine}."
    )


class EngineNeeds(Needs):
    """As everywhere; the minutes may be left out."""

    minutes: float = Field(
        ASSUMED_MINUTES, gt=0, description="Expected minutes, for planning only; 5 are assumed where they are left out."
    )


class EngineImage(Strict):
    """One image, as the engine encoded it: `<case>_<name_gpus>gpu.<format>`."""

    kind: Literal["image"]
    format: Literal["jpg", "png", "webp"]
    name_gpus: int = Field(ge=1, description="The GPU number in the file name.")


class EngineVideo(Strict):
    """Three frames, as the engine took them: `<case>_<name_gpus>gpu_frame_{0,mid,last}.png`."""

    kind: Literal["video"]
    format: Literal["png"]
    name_gpus: int = Field(ge=1, description="The GPU number in the file names.")


class EngineCase(Strict):
    """A native case: the tested engine itself makes it, by what its own tests define under the same id."""

    suite: SuiteName = Field(description="Cases of one suite are made side by side, in parts of about half an hour.")
    model: Repository = Field(description="What the engine loads; it fetches that itself.")
    needs: EngineNeeds
    groups: list[GroupName] = Field(default_factory=list)
    arguments: list[OfCase] = Field(
        default_factory=list, description="Follow the engine's command, where its own tests do not define the case."
    )
    output: Annotated[EngineImage | EngineVideo, Field(discriminator="kind")]
    definition: dict[str, JsonValue] = Field(
        default_factory=dict, description="The case as the engine's tests define it; what `gt cases diff` compares."
    )
    notes: list[str] = Field(default_factory=list, description="What a reader of the reference must know.")
    open: dict[str, str] = Field(default_factory=dict, description="Keys that are not established, and what is known.")


AnyCase = DiffusersCase | SmokeCase | Wan21Case | LtxCase | EngineCase
C = TypeVar("C", bound=CaseBase)


class CaseFile(Strict, Generic[C]):
    """One file of cases of one source."""

    version: Literal[1] = Field(description="Version of this file format.")
    cases: dict[CaseId, C]
    unavailable: dict[CaseId, str] = Field(
        default_factory=dict, description="Native cases that have no official counterpart, and why."
    )


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


class LtxFile(CaseFile[LtxCase]):
    """Cases for the LTX-2 repository."""

    source: Literal["ltx"]
    code: Code


class EngineFile(Strict):
    """Native cases of one engine. It is the key `engine` that makes a file one of these."""

    version: Literal[1] = Field(description="Version of this file format.")
    source: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$"), AfterValidator(_native)] = Field(
        description="A name for the engine; none of our own sources."
    )
    engine: ServingEngine
    cases: dict[CaseId, EngineCase]
    unavailable: dict[CaseId, str] = Field(
        default_factory=dict, description="Cases of the engine that cannot be made here, and why."
    )


OurFile = Annotated[DiffusersFile | SmokeFile | Wan21File | LtxFile, Field(discriminator="source")]
AnyFile = OurFile | EngineFile

_ours, _engines = TypeAdapter[Any](OurFile), TypeAdapter[Any](EngineFile)


def model_of(data: object) -> TypeAdapter[Any]:
    """The model that validates a case file of this content."""
    return _engines if isinstance(data, dict) and "engine" in data else _ours


@dataclass(frozen=True)
class Case:
    """One validated case with what its file says of all of its cases."""

    id: str
    source: str
    spec: AnyCase
    code: Code | None
    file: Path  # where it stands; relative inputs start from its folder
    engine: ServingEngine | None = field(default=None, kw_only=True)  # that makes it, if it is native

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
    def assumed(self) -> bool:
        """Whether its minutes are no estimate of it, since its file gives none."""
        return "minutes" not in self.spec.needs.model_fields_set

    def data(self) -> dict[str, Any]:
        """The whole case as JSON: just what its file says, nothing filled in."""
        data: dict[str, Any] = {"id": self.id, "source": self.source}
        data |= self.spec.model_dump(mode="json", exclude_unset=True)
        if self.code is not None:
            data["code"] = self.code.model_dump(mode="json")
        if self.engine is not None:
            data["engine"] = self.engine.model_dump(mode="json", exclude_unset=True)
        return data

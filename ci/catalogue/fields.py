"""What cases of several sources have in common, and the words that they are written in."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from . import gpus

NAME_LENGTH = 100  # bytes of a name: what is made of names still fits into a file name of 255 bytes
FILE_LENGTH = 200
# What Windows keeps for devices, in any case and with any extension.
_DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\..*)?", re.IGNORECASE)


def path_name_mistake(text: str, longest: int = NAME_LENGTH) -> str | None:
    """Say what is expected of a text that is to be one component of a path on any system; None if it can be."""
    if not text or len(text.encode("utf-8", "replace")) > longest:
        return f"a name of 1 to {longest} bytes"
    if not text.isprintable() or not unicodedata.is_normalized("NFC", text) or re.search(r'[/\\<>:"|?*~]', text):
        return 'a name of printable characters (NFC) without / \\ < > : " | ? * ~'
    if text[0] in " .-" or text[-1] in " .":
        return "a name that starts with no dot, space or -, and ends with no dot or space"
    if _DEVICES.fullmatch(text):
        return "a name that Windows does not keep for a device (con, prn, aux, nul, com1, lpt1, …)"
    return None


def path_name(text: str, longest: int = NAME_LENGTH) -> str:
    """The text, if it can be one component of a path on any system. Raises ValueError."""
    if mistake := path_name_mistake(text, longest):
        raise ValueError(mistake)
    return text


def relative_path(text: str) -> str:
    """The text, if it is a path below a folder, with / between names. Raises ValueError."""
    for part in text.split("/"):
        if mistake := path_name_mistake(part, FILE_LENGTH):
            raise ValueError(f"a path below the folder, with / between its parts; each of them {mistake}")
    return text


PathName = Annotated[str, AfterValidator(path_name)]
FileName = Annotated[str, AfterValidator(lambda text: path_name(text, FILE_LENGTH))]
RelativePath = Annotated[str, AfterValidator(relative_path)]
FolderPath = Annotated[str, AfterValidator(lambda text: text if text == "." else relative_path(text))]


def _gpu_kind(kind: str) -> str:
    mistake = gpus.mistake(kind)
    if mistake is not None or kind == gpus.CPU:
        raise ValueError(f"a GPU kind, or any: {mistake or 'without a GPU, a case runs where --on cpu asks for it'}")
    return kind


# YAML reads 5090 as a number; the kind is a name.
KindName = Annotated[str, BeforeValidator(lambda kind: str(kind) if type(kind) is int else kind)]
NeededGpu = Annotated[
    KindName,
    AfterValidator(_gpu_kind),
    WithJsonSchema(
        {"anyOf": [{"enum": [gpus.ANY, *gpus.GPU_KINDS]}, {"type": "string", "pattern": f"^{gpus.SLICE.pattern}$"}]}
    ),
]

# The two modes, and the two groups that no case carries: every case of a mode, and the cases for trying out.
OFFICIAL, NATIVE, ALL, SMOKE = "official", "native", "all", "smoke"
MODES = (OFFICIAL, NATIVE, SMOKE)


def _group(name: str) -> str:
    if name in (ALL, *MODES):
        raise ValueError(f"the name of a group of your own; {name!r} is one of ours")
    return name


# ASCII alone, since ids and sources go into branch names, commit messages and the names of jobs as well.
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=NAME_LENGTH), AfterValidator(path_name)]
SourceName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=NAME_LENGTH), AfterValidator(path_name)]
GroupName = Annotated[
    str, Field(pattern=r"^[a-z][a-z0-9_-]*$", max_length=NAME_LENGTH), AfterValidator(path_name), AfterValidator(_group)
]


SuiteName = Annotated[Id, AfterValidator(_group)]  # a suite is a group too


def _line(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("one line of printable text, since it becomes one of a message")
    return text


Line = Annotated[str, AfterValidator(_line)]


def _seed(seed: object) -> object:
    if type(seed) is int and seed < 0:
        raise ValueError(f"a seed from 0 to {2**64 - 1}; {seed} asks for a random seed, which cannot be made again")
    return seed


Seed = Annotated[int, Field(ge=0, lt=2**64), BeforeValidator(_seed)]


def _repo_name(text: str) -> str:
    for part in text.split("/"):
        path_name(part)
    return text


# At most as long as GitHub's longest: a job's name holds a source's and a repository's.
RepoName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$", max_length=140), AfterValidator(_repo_name)
]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
ClassName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=NAME_LENGTH)]
Pixels = Annotated[int, Field(ge=1, le=16384)]
# Far above any case, so that sums of minutes, and lists of steps, stay within what can be computed.
Minutes = Annotated[float, Field(gt=0, le=365 * 24 * 60)]
Steps = Annotated[int, Field(ge=1, le=100_000)]


class Strict(BaseModel):
    """Unknown keys are refused, values are never converted, and nothing changes after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, defer_build=True)


class Repository(Strict):
    """A repository on the model hub."""

    repo: RepoName
    revision: Commit | None = Field(
        None, description="A commit. Left open, the newest one is resolved when the run starts, and recorded."
    )
    files: list[str] | None = Field(None, description="Glob patterns of the files that are needed; all if left out.")


class Lora(Repository):
    """A LoRA that is loaded into the pipeline."""

    file: RelativePath | None = Field(None, description="The weight file in the repository, where it holds several.")
    strength: float = 1.0


class TinyModel(Strict):
    """A tiny pipeline: trained to draw shapes, or with random weights, which are built on the spot."""

    tiny: ClassName = Field(description="Class name of a Diffusers pipeline.")
    seed: Seed | None = Field(
        None, description="Seed of random weights. Left out, the weights are those that draw shapes."
    )


class Code(Strict):
    """The git repository of an official implementation, at its pin."""

    repo: RepoName
    commit: Commit
    paths: list[FolderPath] = Field(description="Folders of the repository that go on the import path.")


class Needs(Strict):
    """What a case needs of a host."""

    gpu: NeededGpu
    gpus: int = Field(1, ge=1, le=16, description="GPUs that the run uses, whatever the published file name says.")
    vram_gb: float | None = Field(None, gt=0, description="GPU memory in GB (1e9 bytes) below which no run is tried.")
    minutes: Minutes = Field(description="Expected minutes, for planning only.")
    limit_minutes: Minutes = Field(
        240, description="After this the case is stopped as failed (240: upstream's job limit)."
    )

    @model_validator(mode="after")
    def _has_the_memory(self) -> Self:
        largest = gpus.memory_gb(self.gpu)
        if self.vram_gb is not None and self.vram_gb > largest:
            raise ValueError(f"vram_gb that a card has: {self.gpu} has {largest:.0f} GB at most; name a larger kind")
        return self


class Input(Strict):
    """An input image, by URL or by path relative to the case's file."""

    url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    path: RelativePath | None = None
    sha256: Sha256 | None = Field(None, description="Of the file's bytes. Left open, it is recorded when fetched.")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.url is None) == (self.path is None):
            raise ValueError("either url or path")
        return self


class Latents(Strict):
    """The first noise of a case, which is drawn otherwise: what a trace has as `latents.0`, in a safetensors file."""

    file: RelativePath | None = Field(None, description="Relative to the case's file.")
    url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    sha256: Sha256 = Field(description="Of the file's bytes.")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.url is None) == (self.file is None):
            raise ValueError("either file or url")
        return self


Dtype = Literal["bf16", "fp16", "fp32"]


class Runtime(Strict):
    """What changes bits or memory and is no argument of the call. Named by every case, never a silent default."""

    dtype: Dtype
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
    notes: list[Line] = Field(default_factory=list, description="What a reader of the reference must know.")
    open: dict[Line, Line] = Field(
        default_factory=dict, description="Keys that are not established, and what is known."
    )

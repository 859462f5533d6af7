"""Cases of our own sources: what each of them lets a case say."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, model_validator

from . import sizes
from .fields import (
    CaseBase,
    Dtype,
    Input,
    Latents,
    Lora,
    Pixels,
    RelativePath,
    Repository,
    Runtime,
    Seed,
    Steps,
    Strict,
    TinyModel,
)

OFFICIAL_SOURCES = ("diffusers", "wan21", "wan22", "ltx")

# What the runner gives to a pipeline by itself, or reads out of what it returns: another value would make another file
# than the one that the case describes, or none.
RUNNERS_OWN = (
    *("generator", "output_type", "return_dict", "num_images_per_prompt", "num_videos_per_prompt"),
    *("latents", "image", "images", "batch_size", "self"),
)


def _free(extra: dict[str, JsonValue]) -> dict[str, JsonValue]:
    for name in extra:
        if name in RUNNERS_OWN or name.startswith("callback"):
            raise ValueError(f"no {name!r}: the runner sets it by itself; leave it out")
        if name in DiffusersCall.model_fields:
            raise ValueError(f"no {name!r}: it stands in call itself")
        if not name.isidentifier():
            raise ValueError(f"the name of an argument, got {name!r}")
    return extra


class DiffusersCall(Strict):
    """Arguments of a Diffusers pipeline's `__call__`; those that it does not take are dropped and recorded."""

    prompt: str
    negative_prompt: str | None = None
    width: Pixels | None = None
    height: Pixels | None = None
    num_frames: int | None = Field(None, ge=1)
    num_inference_steps: Steps
    guidance_scale: float | None = None
    true_cfg_scale: float | None = None
    guidance_scale_2: float | None = None
    output_type: Literal["pil", "np", "pt"] | None = None
    seed: Seed
    extra: Annotated[dict[str, JsonValue], AfterValidator(_free)] = Field(
        default_factory=dict,
        description="Any other argument of the pipeline, by its name; none that the runner sets.",
    )


class DiffusersModel(Repository):
    """A Diffusers repository, and which of its weights are loaded."""

    variant: str | None = Field(
        None, pattern=r"^[a-z0-9_]+$", description="Of the weights' files, such as fp16; the plain ones if left out."
    )


def _with_default(dtypes: dict[str, Dtype]) -> dict[str, Dtype]:
    if "default" not in dtypes:
        raise ValueError("a dtype named default, for the components that are not named")
    return dtypes


class DiffusersRuntime(Runtime):
    """As everywhere, but a component may have a dtype of its own."""

    dtype: Dtype | Annotated[dict[str, Dtype], AfterValidator(_with_default)] = Field(  # type: ignore[assignment]  # wider
        description="Of all components, or by component: {default: bf16, vae: fp32}."
    )


class OfficialCase(CaseBase):
    """What the cases of our own sources have in common."""

    latents: Latents | None = Field(None, description="A fixed first noise, the same on every card and platform.")


class DiffusersCase(OfficialCase):
    """A case that a Diffusers pipeline of the model's repository runs."""

    model: DiffusersModel
    pipeline: str | None = Field(
        None, description="The class that the repository must name; another one fails the case."
    )
    loras: list[Lora] = Field(default_factory=list)
    conditioning: Literal["flux", "qwen_edit", "qwen_layered", "raw"] | None = Field(
        None, description="How inputs and output are sized, see docs/cases/format.md; required where there are inputs."
    )
    call: DiffusersCall
    runtime: DiffusersRuntime

    @model_validator(mode="after")
    def _inputs_are_conditioned(self) -> Self:
        if bool(self.inputs) != (self.conditioning is not None):
            raise ValueError("inputs and conditioning, both or neither")
        return self

    @model_validator(mode="after")
    def _saved_as_asked(self) -> Self:
        sizes.check(self.call, self.pipeline, sizes.multiple_of(self.pipeline), video=self.output.kind == "video")
        return self


class SmokeCase(DiffusersCase):
    """A case for trying out: a real Diffusers class, tiny weights, no download."""

    model: TinyModel  # type: ignore[assignment]  # a smoke model is here already, not fetched


class WanCall(Strict):
    """Arguments of the Wan repositories' `generate`, under the names that all sources share."""

    prompt: str
    negative_prompt: str
    num_frames: int = Field(ge=1)
    num_inference_steps: Steps
    guidance_scale: float
    flow_shift: float
    sample_solver: Literal["unipc", "dpm++"]
    seed: Seed


class Wan21Call(WanCall):
    """Arguments of the Wan2.1 repository's `WanT2V.generate`."""

    width: Pixels
    height: Pixels


class Wan21Runtime(Runtime):
    """As everywhere, and where the text encoder runs."""

    t5_cpu: bool


class Wan21Case(OfficialCase):
    """A case that the official Wan2.1 repository runs."""

    model: Repository
    config: str = Field(description="Key in the repository's WAN_CONFIGS.")
    call: Wan21Call
    runtime: Wan21Runtime

    @model_validator(mode="after")
    def _saved_as_asked(self) -> Self:
        sizes.check(self.call, "Wan2.1", 16, video=self.output.kind == "video")
        return self


class Wan22Call(WanCall):
    """Arguments of the Wan2.2 repository's `WanTI2V.generate`: a size without an image, an area with one."""

    width: Pixels | None = None
    height: Pixels | None = None
    max_area: int | None = Field(None, ge=32 * 32, description="Pixels; the image's aspect ratio gives the sides.")


class Wan22Runtime(Wan21Runtime):
    """As in Wan2.1, and which dtype the transformer's weights have on the GPU."""

    convert_model_dtype: bool = Field(description="true: that of the computation; false: that of the checkpoint.")


class Wan22Case(OfficialCase):
    """A case that the official Wan2.2 repository runs: text and image to video."""

    model: Repository
    config: Literal["ti2v-5B"] = Field(description="Key in the repository's WAN_CONFIGS.")
    inputs: list[Input] = Field(default_factory=list, max_length=1)
    call: Wan22Call
    runtime: Wan22Runtime

    @model_validator(mode="after")
    def _sized_by_one_rule(self) -> Self:
        keys = sorted(self.call.model_fields_set & {"width", "height", "max_area"})
        if keys != (["max_area"] if self.inputs else ["height", "width"]):
            raise ValueError(
                "call.max_area and nothing else of the size, since the image gives the aspect ratio"
                if self.inputs
                else "call.width and call.height, and no max_area, since there is no image"
            )
        sizes.check(self.call, "Wan2.2", 32, video=self.output.kind == "video")
        return self


class LtxCheckpoint(Strict):
    """Files inside the model's repository."""

    file: RelativePath
    distilled_lora: RelativePath | None = None
    distilled_lora_strengths: list[float] | None = Field(None, description="One per stage that takes the LoRA.")
    spatial_upsampler: RelativePath | None = None


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
    num_inference_steps: Steps
    stage_2_sigmas: list[float] | None = None
    video_guider: LtxGuider
    audio_guider: LtxGuider
    tiling: LtxTiling | None = None
    max_batch_size: int = Field(ge=1)
    enhance_prompt: bool
    seed: Seed


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


class LtxCase(OfficialCase):
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

    @model_validator(mode="after")
    def _saved_as_asked(self) -> Self:
        sizes.check(self.call, self.pipeline, sizes.LTX_STAGES[self.pipeline], video=self.output.kind == "video")
        return self

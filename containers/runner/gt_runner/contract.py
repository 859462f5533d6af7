"""The data of a case and of its job, as the planner hands them to the runner: complete, validated JSON.

`ci/catalogue/model.py` validates a case; these types only name what the runner reads. A key that a case leaves out is
absent here too: nothing is filled in between the file and the call.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NotRequired, TypedDict


class Repository(TypedDict):
    """A repository on the model hub and the files of it that are needed."""

    repo: str
    revision: NotRequired[str | None]  # a commit; None or absent: resolved when fetched, and recorded
    files: NotRequired[list[str]]  # glob patterns, all files if absent
    variant: NotRequired[str | None]  # of a Diffusers repository's weights, such as "fp16"


class Lora(Repository):
    """A LoRA that is loaded into the pipeline."""

    file: NotRequired[str]  # the weight file's name in the repository
    strength: NotRequired[float]


class Code(TypedDict):
    """A git repository that holds an official implementation, at its pin."""

    repo: str  # owner/name on GitHub
    commit: str  # 40 hex digits
    paths: list[str]  # folders in it that go on the import path


class ServingEngine(TypedDict):
    """A serving engine: its checkout and the command that makes one case; templates: `ci/catalogue/native.py`."""

    repo: str  # owner/name on GitHub
    command: list[str]
    folder: NotRequired[str]  # of the checkout, in which the command starts
    environment: NotRequired[dict[str, str]]


class Input(TypedDict):
    """An input image: by URL, or by path relative to the folder of the case's file."""

    url: NotRequired[str]
    path: NotRequired[str]
    sha256: NotRequired[str | None]


class Latents(TypedDict):
    """A fixed first noise: a safetensors file, by URL or by path relative to the folder of the case's file."""

    file: NotRequired[str | None]
    url: NotRequired[str | None]
    sha256: str


class Runtime(TypedDict):
    """Everything about a run that changes bits or memory without being an argument of the call."""

    dtype: str | dict[str, str]  # "bf16", "fp16" or "fp32"; by component, with one named `default`
    generator_device: str  # "cuda" or "cpu"
    attention: str  # "sdpa", or the name of another backend
    quantization: NotRequired[str | None]  # e.g. "fp8-cast"
    offload: NotRequired[str | None]  # "model" moves whole models off the GPU between phases


class Output(TypedDict):
    """What is kept of a result, and how it is encoded."""

    kind: Literal["image", "video"]
    format: Literal["jpg", "png", "webp"]
    name_gpus: int  # the number in the published file name only
    quality: NotRequired[int]  # JPEG quality 1..100
    fps: NotRequired[int]  # frames per second of the intermediate video
    codec: NotRequired[str]  # of the intermediate video, e.g. "libx264"
    video_quality: NotRequired[int]  # imageio's quality scale, 0..10


class Case(TypedDict):
    """One request whose output is a reference. `call` holds just the arguments that the case names."""

    id: str
    source: str
    model: Repository
    inputs: NotRequired[list[Input]]
    latents: NotRequired[Latents | None]
    call: NotRequired[dict[str, Any]]  # absent, like runtime, where a serving engine makes the case
    runtime: NotRequired[Runtime]
    output: Output
    needs: dict[str, Any]
    loras: NotRequired[list[Lora]]
    pipeline: NotRequired[str]  # class name, where the source has several
    conditioning: NotRequired[str]  # the rule that sizes input and output, see `sources/conditioning.py`
    text_encoder: NotRequired[Repository]  # ltx: the Gemma repository
    checkpoint: NotRequired[dict[str, Any]]  # ltx: file names inside the model repository
    config: NotRequired[str]  # wan21, wan22: the key in the repository's WAN_CONFIGS
    code: NotRequired[Code]
    engine: NotRequired[ServingEngine]  # what makes a native case
    suite: NotRequired[str]  # of the serving engine's own tests
    arguments: NotRequired[list[str]]  # templates that follow the serving engine's command
    base: str  # folder that relative input paths start from; not part of the case's key


class Image(TypedDict):
    """The container image that a job runs in, as the manifest names it."""

    reference: str
    digest: NotRequired[str]  # where it was pulled by digest
    recipe: NotRequired[str]  # where it was built: base digest, lock files, runner code


class Card(TypedDict):
    """A GPU beyond its kind: CUDA's noise depends on the number of multiprocessors."""

    name: str  # as the driver says
    multiprocessors: int | None  # None where the driver was asked by nvidia-smi, which does not say


class Job(TypedDict):
    """Cases of one source and GPU kind; official ones of one model, which one process loads once for them all."""

    name: str
    source: str
    device: str  # "cuda" or "cpu"
    gpu_kind: str  # of the host; part of every case's key
    card: NotRequired[Card]  # of the host, where it has a GPU; part of the key too
    gpus: int
    image: NotRequired[Image]  # absent: a run without containers
    cases: list[Case]


class FetchedRepository(TypedDict):
    """A repository that lies on this machine."""

    repo: str
    path: str
    commit: str | None  # None where a local folder stands in
    identity: str  # what a result's key holds: "commit:…", or "sha256:…" of the content where a local folder stands in
    digest: str  # sha256 over name, size and sha256 of each file
    bytes: int
    files: NotRequired[list[str]]  # those that the case needs, relative to path, for reading ahead


class FetchedInput(TypedDict):
    """An input that lies on this machine, with the digest of its bytes."""

    path: str
    sha256: str
    bytes: int
    normalised: NotRequired[list[str]]  # what was not plain RGB in the file, and is when it is read


class Fetched(TypedDict):
    """What the fetch phase leaves behind for one case; paths are of this machine only."""

    repositories: dict[str, FetchedRepository]  # by repo name
    code: str | None  # path of the checkout; None: what runs the case must be importable
    code_identity: str | None  # as a repository's identity
    inputs: list[FetchedInput]  # in the case's order
    latents: NotRequired[FetchedInput]  # where the case names a first noise


class Prepared(TypedDict):
    """A case whose files are on this machine."""

    case: Case
    key: str  # in the result store
    fetched: Fetched
    fetch_seconds: float


def served(job: Job) -> bool:
    """Whether a serving engine makes the job's cases."""
    return any("engine" in case for case in job["cases"])


def repositories(case: Case) -> Iterator[Repository]:
    """Every hub repository that is fetched for a case, the model's first; none for a serving engine, which fetches."""
    if "engine" in case:
        return
    if "repo" in case["model"]:  # a smoke model is here already
        yield case["model"]
    if "text_encoder" in case:
        yield case["text_encoder"]
    yield from case.get("loras", [])


PER_REQUEST = {"id", "call", "inputs", "latents", "output", "needs", "groups", "notes", "open", "base", "conditioning"}


def load_spec(case: Case) -> dict[str, Any]:
    """The part of a case that decides what is loaded; cases with equal specs share one loaded pipeline."""
    return {key: value for key, value in case.items() if key not in PER_REQUEST}

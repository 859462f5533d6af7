"""What a Slurm cluster is asked for a job: the site's words for it, job arrays, and the script that sbatch gets."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from ..catalogue import documents, gpus
from ..catalogue.fields import KindName, SourceName, Strict
from ..catalogue.gpus import ANY, CPU
from ..errors import GtError, SiteError, printable
from .jobs import Job

MOST_TASKS = 1000  # of an array: Slurm's MaxArraySize is 1001 where the site has not set it
START_MINUTES = 30  # for fetching weights and for the first load
SLACK = 2  # of the expected minutes: Slurm ends what is over its limit, and the plan's figures are estimates
BASE_GB = 7  # host memory of a job's processes, without what it loads
WORD = r"^[A-Za-z0-9][A-Za-z0-9_.:&|*()\[\],+-]*$"  # has no white space and no quote: it stands in a script
PARTITION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.,-]*")
# Options of sbatch that a site cannot set: which tasks there are, what they run and where they write is known here, and
# ANSWERS change what sbatch answers, which is the id of an array, at once. It takes the beginning of a name for all.
ANSWERS = ("help", "parsable", "test-only", "usage", "version", "wait")
RESERVED = ("array", "clusters", "error", "open-mode", "output", "wrap", *ANSWERS)

Word = Annotated[str, Field(pattern=WORD)]


def _kind(name: str) -> str:
    mistake = gpus.mistake(name)
    if mistake is not None:
        raise ValueError(mistake)
    return name


Kind = Annotated[KindName, AfterValidator(_kind)]


def _option(text: str) -> str:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"an option as a shell reads it: {error}") from None
    name = (words or [""])[0].removeprefix("--").partition("=")[0]
    if any(each.startswith(name) for each in RESERVED):
        raise ValueError(f"an option of sbatch other than --{', --'.join(RESERVED)}, which gt gives or cannot do with")
    return text


class Words(Strict):
    """How a site asks for a GPU kind."""

    gres: Word | None = Field(None, description="As --gres takes it, without a number: gpu:h100.")
    constraint: Word | None = Field(None, description="As --constraint takes it.")
    partition: Word | None = Field(None, description="Where these nodes are, unless --slurm names one.")
    memory_gb: float | None = Field(None, gt=0, description="Host memory of a job, in GB of 2^30 bytes.")


class Site(Strict):
    """What a cluster's words are; all of it may be left out."""

    version: Literal[1] = Field(1, description="Version of this file format.")
    gpus: dict[Kind, Words] = Field(default_factory=dict)
    container: Literal["pyxis", "apptainer"] | None = Field(
        None, description="What runs images on the nodes; none: the Python environment of gt."
    )
    images: dict[SourceName, Annotated[str, Field(pattern=r"^[^\s@,]+@sha256:[0-9a-f]{64}$|^/[^\s,]+\.tar$")]] = Field(
        default_factory=dict, description="By source: REFERENCE@sha256:DIGEST, or for apptainer an OCI archive."
    )
    options: list[Annotated[str, Field(pattern=r"^--[a-z][^\n]*$"), AfterValidator(_option)]] = Field(
        default_factory=list, description="Further options of sbatch, which win over ours: --account=x, --time=60."
    )
    most_tasks: int = Field(
        MOST_TASKS,
        ge=1,
        description="The most tasks of an array: the cluster's MaxArraySize less one, where that is smaller.",
    )

    def words(self, kind: str) -> Words:
        """How to ask for a kind; by its own name where the file does not say."""
        if kind in self.gpus:
            return self.gpus[kind]
        return Words(gres={CPU: None, ANY: "gpu"}.get(kind, f"gpu:{kind}"))


def read(name: str, data: bytes) -> Site:
    """The site of a file. Raises SiteError with all mistakes."""
    return documents.only(name, data, Site, "gpus", SiteError)


def image_as(container: str, image: str) -> str:
    """An image as what runs it on the nodes takes it."""
    if container == "apptainer":
        return f"docker://{image}" if "@" in image else f"oci-archive:{image}"
    # REGISTRY#NAME:sha256:DIGEST, which enroot reads in all its versions; with @ it does so from 4.0 on.
    name, _, digest = image.partition("@")
    registry, slash, path = name.partition("/")
    head, _, _ = path.rpartition("/")
    path = "/".join(filter(None, [head, path.rpartition("/")[2].partition(":")[0]]))  # a tag says less than the digest
    has_registry = slash and ("." in registry or ":" in registry or registry == "localhost")
    reference = f"{registry}#{path}" if has_registry else name.partition(":")[0]
    return f"--container-image={reference}:{digest}"


@dataclass(frozen=True)
class Array:
    """Jobs that ask for the same, as the tasks of one array."""

    gpu: str
    count: int  # GPUs of a task
    jobs: tuple[Job, ...]

    @property
    def minutes(self) -> int:
        """Time limit of a task: that of the longest."""
        return START_MINUTES + math.ceil(SLACK * max(job.minutes for job in self.jobs))

    def memory_gb(self, words: Words) -> int:
        """Host memory of a task: as much as its GPUs have, whatever part of that its cases need.

        All weights go through it, and an implementation may hold more there: Wan makes its text encoder in fp32 first.
        """
        sizes = [case.spec.needs.vram_gb for job in self.jobs for case in job.cases]
        card = max(filter(None, sizes), default=0) if self.gpu in (ANY, CPU) else gpus.memory_gb(self.gpu)
        weights_gb = card * self.count * 1e9 / 2**30 if math.isfinite(card) else 0  # a slice of a card has no entry
        return math.ceil(words.memory_gb or BASE_GB + weights_gb)


def arrays(jobs: Sequence[Job], limit: int = MOST_TASKS) -> list[Array]:
    """One array for each GPU kind and number of GPUs; several where there are more than `limit` jobs."""
    groups: dict[tuple[str, int], list[Job]] = {}
    for job in jobs:
        groups.setdefault((job.gpu, 0 if job.gpu == CPU else job.gpus), []).append(job)
    return [
        Array(gpu, count, tuple(group[start : start + limit]))
        for (gpu, count), group in groups.items()
        for start in range(0, len(group), limit)
    ]


def check_partition(name: str) -> None:
    """Raises GtError where this could be no partition's name; empty is the cluster's default one."""
    if name and not PARTITION.fullmatch(name):
        raise GtError(f"--slurm {printable(name)}: a partition's name has letters, digits, '_', '-', '.' and ','")


def script(array: Array, site: Site, partition: str, folder: Path, command: Sequence[str]) -> str:
    """What sbatch gets. A task runs `command` with the folder and its own number; its log is in the folder.

    Raises GtError where the partition's name could not be one, or Slurm could not write into the folder.
    """
    arguments = options(array, site, partition, folder)
    tasks = [f"# {n}  {job.name}: {' '.join(case.id for case in job.cases)}" for n, job in enumerate(array.jobs)]
    if site.container is not None:
        images = {job.source: site.images.get(job.source) for job in array.jobs}
        tasks += [f"# {source} in {image_as(site.container, image)}" for source, image in images.items() if image]
    start = f'exec {shlex.join([*command, str(folder)])} "$SLURM_ARRAY_TASK_ID"'
    return "\n".join(["#!/bin/sh", *(f"#SBATCH {_quoted(option)}" for option in arguments), *tasks, start, ""])


def options(array: Array, site: Site, partition: str, folder: Path) -> list[str]:
    """The options of sbatch, each an argument. Raises GtError as `script` does."""
    check_partition(partition)
    if not str(folder).isprintable() or "\\" in str(folder):
        raise GtError(f"{printable(str(folder))}: Slurm writes no log into such a folder; set GT_CACHE to another one")
    extras = [word for option in site.options for word in shlex.split(option)]
    defaults = _options(array, site.words(array.gpu), partition, folder)
    # sbatch takes one way of asking for memory, of which the site may prefer another.
    memory = any(word.startswith("--mem-per") for word in extras)
    return [*(option for option in defaults if not (memory and option.startswith("--mem="))), *extras]


def _options(array: Array, words: Words, partition: str, folder: Path) -> Iterator[str]:
    yield f"--job-name=gt-{array.gpu.replace(' ', '-')}"
    yield f"--array=0-{len(array.jobs) - 1}"
    queue = partition or words.partition
    if queue:
        yield f"--partition={queue}"
    if words.gres and array.count:
        yield f"--gres={words.gres}:{array.count}"
    if words.constraint:
        yield f"--constraint={words.constraint}"
    yield f"--mem={array.memory_gb(words)}G"
    yield f"--time={array.minutes}"
    yield "--requeue"
    yield "--open-mode=append"
    yield f"--output={str(folder).replace('%', '%%')}/%a.log"


def _quoted(option: str) -> str:
    """An option as sbatch reads it in a script."""
    if re.fullmatch(r"""[^\s"'\\#]*""", option):
        return option
    name, equals, value = option.partition("=") if option.startswith("--") else ("", "", option)
    return name + equals + '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

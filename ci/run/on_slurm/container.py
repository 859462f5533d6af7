"""How a task's runner is started in a container, by what the site has for that."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterable
from pathlib import Path

from ...errors import ImageError
from ...plan.slurm import image_as
from ..dagger_interface import CALL
from ..recipes import WEIGHTS

WORKDIR = "/gt"  # of the runner images: Python looks for modules where it starts, and the caller's folder has others


def image_record(image: str) -> dict[str, str]:
    """An image as a job names it: by its digest, which for an OCI archive stands in its index. Raises ImageError."""
    reference, _, digest = image.partition("@")
    if digest:
        return {"reference": image, "digest": digest}
    try:
        with tarfile.open(reference, "r:") as archive:
            index = json.load(archive.extractfile("index.json") or io.BytesIO())
        return {"reference": Path(reference).name, "digest": index["manifests"][0]["digest"]}
    except (OSError, tarfile.TarError, KeyError, IndexError, ValueError) as error:
        raise ImageError(
            f"{reference} is no OCI archive that can be read ({error}); `{CALL} export` makes one"
        ) from None


def within(container: str, image: str, folders: Iterable[str], weights: Path) -> list[str]:
    """What stands in front of the runner's command; `folders` are at the same path inside."""
    mounts = {folder: folder for folder in folders} | {str(weights): WEIGHTS}
    binds = ",".join(f"{here}:{there}" for here, there in mounts.items())
    if container == "pyxis":
        cpus = os.environ.get("SLURM_CPUS_ON_NODE", "1")  # a step does not take them over by itself
        step = ["srun", "--ntasks=1", f"--cpus-per-task={cpus}"]
        return [*step, image_as(container, image), f"--container-mounts={binds}", f"--container-workdir={WORKDIR}"]
    return ["apptainer", "exec", "--nv", "--bind", binds, "--pwd", WORKDIR, image_as(container, image)]

"""How a task's runner is started in a container, by what the site has for that."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterable
from pathlib import Path

from ...errors import ImageError
from ..recipes import WEIGHTS


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
            f"{reference} is no OCI archive that can be read ({error}); `dagger call export` makes one"
        ) from None


def within(container: str, image: str, folders: Iterable[str], weights: Path) -> list[str]:
    """What stands in front of the runner's command; `folders` are at the same path inside."""
    mounts = {folder: folder for folder in folders} | {str(weights): WEIGHTS}
    binds = ",".join(f"{here}:{there}" for here, there in mounts.items())
    if container == "pyxis":
        cpus = os.environ.get("SLURM_CPUS_ON_NODE", "1")  # a step does not take them over by itself
        step = ["srun", "--ntasks=1", f"--cpus-per-task={cpus}"]
        return [*step, f"--container-image={_for_enroot(image)}", f"--container-mounts={binds}"]
    transport = "docker://" if "@" in image else "oci-archive:"
    return ["apptainer", "exec", "--nv", "--bind", binds, f"{transport}{image}"]


def _for_enroot(image: str) -> str:
    """REGISTRY#NAME:sha256:DIGEST, which enroot reads in all its versions; with @ it does so from 4.0 on."""
    name, _, digest = image.partition("@")
    registry, slash, path = name.partition("/")
    head, _, _ = path.rpartition("/")
    path = "/".join(filter(None, [head, path.rpartition("/")[2].partition(":")[0]]))  # a tag says less than the digest
    has_registry = slash and ("." in registry or ":" in registry or registry == "localhost")
    return f"{registry}#{path}:{digest}" if has_registry else f"{name.partition(':')[0]}:{digest}"

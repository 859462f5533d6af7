"""How a task's runner is started in a container, by what the site has for that."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from ...catalogue.model import Case
from ...errors import GtError, ImageError
from ...plan.slurm import image_as
from ..cache import hub_cache, hub_home
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


def check_mounts(folders: Iterable[Path | None], cases: Iterable[Case]) -> None:
    """Raises GtError for a folder that no container can be given: ':' and ',' end a path in what is mounted."""
    paths = [*filter(None, folders), *(case.file.parent for case in cases), *weights()]
    names = dict.fromkeys(str(path) for path in paths if {":", ","} & {*str(path)})
    if names:
        raise GtError(f"{', '.join(map(repr, names))}: a container takes no folder with ':' or ',' in its path")


def weights() -> dict[Path, str]:
    """The folders of the model hub's library here, and where the images have them."""
    home, hub = hub_home(), hub_cache()
    return {home: WEIGHTS} | ({} if hub == home / "hub" else {hub: f"{WEIGHTS}/hub"})


def within(container: str, image: str, folders: Iterable[str], others: Mapping[Path, str]) -> list[str]:
    """What stands in front of the runner's command; `folders` are at the same path inside, `others` are elsewhere."""
    mounts = {folder: folder for folder in folders} | {str(folder): inside for folder, inside in others.items()}
    binds = ",".join(f"{path}:{target}" for path, target in mounts.items())
    if container == "pyxis":
        cpus = os.environ.get("SLURM_CPUS_ON_NODE", "1")  # a step does not take them over by itself
        step = ["srun", "--ntasks=1", f"--cpus-per-task={cpus}"]
        return [*step, image_as(container, image), f"--container-mounts={binds}", f"--container-workdir={WORKDIR}"]
    return ["apptainer", "exec", "--nv", "--bind", binds, "--pwd", WORKDIR, image_as(container, image)]

"""The options that verbs have for a Slurm cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typing_extensions import Doc

from ..errors import reading
from ..plan import slurm
from ..plan.slurm import Site
from .options import Typed

Slurm = Annotated[
    str | None,
    Doc("Run each job as a task of a job array of this Slurm partition; without a name, of the default one."),
    Typed(value="PARTITION"),
]
SlurmSite = Annotated[
    Path | None,
    Doc("A file of the cluster's words: how its GPUs are asked for, containers, options; see docs/run/slurm.md."),
    Typed(variable="GT_SLURM_SITE"),
]


def site_of(file: Path | None) -> Site:
    """The cluster's words; plain ones where no file is named. Raises SiteError."""
    if file is None:
        return Site()
    with reading(file):
        data = file.read_bytes()
    return slurm.read(file.name, data)

"""What figures were taken on."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib import metadata

from ci.plan.host import Host


@dataclass(frozen=True)
class Machine:
    """A machine without its name."""

    gpu: str | None
    gpus: int
    device: str  # that the cases ran on
    cores: int
    python: str
    torch: str
    diffusers: str


def machine(here: Host, device: str) -> Machine:
    """This one."""
    return Machine(
        gpu=here.gpu_name or None,
        gpus=here.gpus,
        device=device,
        cores=os.cpu_count() or 1,
        python=platform.python_version(),
        torch=metadata.version("torch"),
        diffusers=metadata.version("diffusers"),
    )

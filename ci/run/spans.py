"""What a person sees of a run on an engine: jobs and their steps, with the engine's own folded under them.

The runner adds cases and their phases while they run: see gt_runner's supervise/spans.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagger
from opentelemetry import propagate, trace

PARENT = "GT_TRACEPARENT"  # as the runner reads it
UNSEEN = {"dagger.io/ui.internal": True}  # the span itself is shown with -vvv alone
FOLDED = {"dagger.io/ui.encapsulate": True}  # what is under the span is shown where it fails, and with -vvv
_tracer = trace.get_tracer("diffusion-gt")
job = _tracer.start_as_current_span  # of a job, by its name, and what belongs to it


@contextmanager
def step(name: str, *, unseen: bool = False) -> Iterator[None]:
    """A step; mounts, environments and commands are folded under it. One that tells a person nothing is `unseen`."""
    with _tracer.start_as_current_span(name, attributes=FOLDED | (UNSEEN if unseen else {})):
        yield


def watched(container: dagger.Container) -> dagger.Container:
    """The container, whose runner puts its cases under the present span."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    parent = carrier.get("traceparent")
    return container.with_env_variable(PARENT, parent) if parent else container

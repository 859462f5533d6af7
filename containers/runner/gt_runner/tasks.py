"""What a run, and each process of it, is asked to do: JSON that goes from the planner and between processes."""

from __future__ import annotations

from typing import NotRequired, TypedDict, cast

from .contract import Job, Prepared


class RunJob(Job):
    """A job on this machine."""

    prepared: NotRequired[list[Prepared]]  # by an earlier fetch phase, elsewhere; absent: this run fetches


class Tracing(TypedDict):
    """Which tensors of a run are kept, and where; see `gt_trace`."""

    folder: str
    stages: list[str]  # names or patterns; none: all
    every: int  # of how many steps one is kept
    version: str  # of this product


class Card(TypedDict):
    """A GPU of this machine that a run may use."""

    id: str  # as CUDA_VISIBLE_DEVICES takes it: a UUID, or a number
    number: NotRequired[str]  # as people know it
    memory_gb: NotRequired[float]  # in 1e9 bytes


class Options(TypedDict):
    """What a run has besides its jobs; folders are of this machine."""

    store: str
    cache: str
    models: str | None
    previous: str | None  # an earlier artifact, taken in as a store
    serving: NotRequired[str | None]  # the checkout of the serving engine that makes native cases
    serving_identity: NotRequired[str | None]  # of that checkout, where the caller knows it
    fresh: bool
    nonce: str | None
    deliver: NotRequired[str]  # a folder that gets the files of each finished case
    against: NotRequired[str]  # a folder with the files of an earlier run, which each finished case is compared with
    look: NotRequired[bool]  # prepare: only name what the store has, and fetch nothing
    since: NotRequired[str]  # prepare: a time; results that were made before it do not count
    trace: NotRequired[Tracing]
    elsewhere: NotRequired[bool]  # preflight: weights will lie on other machines, so this one's disk does not matter


class Run(Options):
    """What a run is asked to do."""

    jobs: list[RunJob]
    cards: NotRequired[list[Card]]  # those that may be used, under locks; absent: what this process sees, and no lock
    insist: NotRequired[bool]  # the user named the cards: they are used also where another process holds memory


class FetchTask(Options):
    """What the fetch phase is asked to do."""

    job: Job


class WorkTask(TypedDict):
    """What a worker is asked to do. It asks for its cases one by one, once the model of the first is loaded."""

    job: RunJob
    model: Prepared  # a case whose model is loaded before a case is asked for
    store: str
    nonce: str | None
    trace: Tracing | None


def fetch_task(run: Run, job: Job) -> FetchTask:
    """The fetch phase of one job of a run."""
    return cast("FetchTask", {**{name: value for name, value in run.items() if name != "jobs"}, "job": job})

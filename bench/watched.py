"""Runs `gt generate` once and writes down what happens: its events, and samples of the GPUs, by the second."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ci import ROOT
from gt_runner.events import ON_STDERR, marked

from .process import environment, sampler
from .runs import GT

FIELDS = ("index", "utilization.gpu", "memory.used")  # of a sample
Notice = Callable[[Mapping[str, Any]], None]


@dataclass
class Watch:
    """One run; times are in seconds since its start."""

    started: float = field(default_factory=time.time)
    status: int = 0
    wall: float = 0.0
    events: list[tuple[float, Mapping[str, Any]]] = field(default_factory=list)
    samples: list[list[float]] = field(default_factory=list)  # seconds, GPU, percent with a kernel, MiB in use
    lines: list[str] = field(default_factory=list)  # for people


def generate(options: Sequence[str], cache: Path, cards: Sequence[str], notice: Notice = lambda _: None) -> Watch:
    """One `gt generate --official`; `notice` gets each event when it arrives, `cards` are the numbers to sample."""
    command = [*GT, "generate", "--official", *options]
    env = environment({"GT_CACHE": str(cache), ON_STDERR: "1"})
    watch, since = Watch(), time.perf_counter()
    with _sampled(watch.samples, since, cards):
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env, cwd=ROOT)
        for line in process.stderr or ():
            event = marked(line)
            if event is not None:
                if event["event"] != "step":  # fifty for each case, and no figure is made of them
                    watch.events.append((round(time.perf_counter() - since, 3), event))
                notice(event)
            else:
                watch.lines.append(line.rstrip())
        watch.status = process.wait()
        watch.wall = round(time.perf_counter() - since, 3)
    return watch


@contextmanager
def _sampled(samples: list[list[float]], since: float, cards: Sequence[str]) -> Iterator[None]:
    """While open, adds a sample of each of these GPUs a few times a second."""
    with sampler(FIELDS, cards, subprocess.PIPE) as process:

        def follow() -> None:
            rows = (line.split(b",") for line in (process and process.stdout) or ())
            whole = (row for row in rows if len(row) == len(FIELDS))
            samples.extend([round(time.perf_counter() - since, 3), *map(float, row)] for row in whole)

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        yield
    thread.join()

"""Loads a model once, then generates and saves each of its cases, without the network and without a token."""

from __future__ import annotations

import contextlib
import gc
from pathlib import Path
from typing import Any

from ..contract import Case, Fetched, Prepared, load_spec
from ..errors import RunnerError
from ..events import Emit, Phase
from ..sources import Loaded, implementation
from ..tasks import WorkTask
from . import isolation, noise, output, record, torch_state
from .base import Worker
from .trace.tracing import traced


class OfficialWorker(Worker):
    """Runs the cases of one task, one after the other."""

    def __init__(self, task: WorkTask, emit: Emit) -> None:
        super().__init__(task, emit)
        self._loaded: Loaded | None = None
        self._spec: dict[str, Any] | None = None
        self._load_seconds = 0.0
        self._isolation = isolation.isolate()

    def phase(self, case: Case) -> Phase:
        """What a case failed in."""
        return "generate" if load_spec(case) == self._spec else "load"

    def make(self, prepared: Prepared) -> None:
        """Generate and save one case."""
        case, name = prepared["case"], prepared["case"]["id"]
        clock = record.Clock()
        self._emit({"event": "phase", "case": name, "phase": "load"})
        loaded = self._load(case, prepared["fetched"])
        clock.lap("load")
        self._emit({"event": "phase", "case": name, "phase": "generate"})
        refused = isolation.attempts()
        torch_state.seed_everything(case["call"]["seed"])
        generators = torch_state.global_generators()
        with traced(self._task["trace"], case, loaded) as drew, noise.first_noise(drew) as initial_latent:
            generated = loaded.generate(
                case,
                [Path(file["path"]) for file in prepared["fetched"]["inputs"]],
                lambda done, total: self._emit({"event": "step", "case": name, "done": done, "total": total}),
            )
        isolation.check(since=refused)
        advanced = [name for name, state in torch_state.global_generators().items() if generators.get(name) != state]
        clock.lap("generate")
        self._emit({"event": "phase", "case": name, "phase": "save"})
        resized = output.resized(generated.frames, generated.passed)
        folder = self._store.begin()
        files = output.save(generated.frames, case, folder)
        on_gpu = self._job["device"] == "cuda"
        written = record.finished(prepared, generated.passed, generated.dropped, files) | {
            "resized": resized,
            "initial_latent": initial_latent,
            "pipeline": loaded.pipeline,
            "generator_device": _generator_device(case, self._job["device"]),
            "image": self._job.get("image"),
            "global_rng_used": advanced,
            "isolation": self._isolation,
            "gpu": record.gpu(self._job, torch_state.gpu),
            "peak_memory": record.peak_memory(torch_state.peak_gpu_bytes() if on_gpu else None),
            "process": record.process(self._task["nonce"]),
        }
        clock.lap("save")
        written["seconds"] = {"fetch": prepared["fetch_seconds"], **clock.seconds, "load": self._load_seconds}
        self._store.finish(folder, written)
        self._emit({"event": "done", "case": name, "record": written})

    def _load(self, case: Case, fetched: Fetched) -> Loaded:
        spec = load_spec(case)
        if self._loaded is not None and spec == self._spec:
            return self._loaded
        self._loaded = self._spec = None
        gc.collect()
        clock = record.Clock()
        on_gpu = self._job["device"] == "cuda"
        torch_state.reset_gpu() if on_gpu else torch_state.fix_threads()
        loaded = implementation(case["source"]).load(case, fetched, self._job["device"])
        if on_gpu:
            torch_state.wait_for_gpu()
        self._load_seconds = clock.lap("load")
        self._loaded, self._spec = loaded, spec
        return loaded


def warm(name: str) -> None:
    """Import a source while its weights are still on their way: a cold import of torch and diffusers costs 17 s."""
    with contextlib.suppress(ImportError, RunnerError):  # loading the first case says what is missing
        implementation(name)


def _generator_device(case: Case, device: str) -> str:
    return case["runtime"]["generator_device"] if device == "cuda" else "cpu"

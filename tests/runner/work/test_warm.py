"""What a worker does before it has a task."""

from __future__ import annotations

import gc
import importlib.metadata
import sys
import threading
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from gt_runner.work import warm


class Used:
    """Stands in for what would use a GPU, and for the source that is imported."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.said: list[str] = []
        self.on_import: Any = lambda: None
        self.imported = threading.Event()
        monkeypatch.setattr(warm, "_make_context", lambda: self.said.append("context"))
        monkeypatch.setattr(warm, "_load_kernels", lambda torch: self.said.append(f"kernels of {torch.__name__}"))
        monkeypatch.setattr(warm, "implementation", self._implementation)
        monkeypatch.setattr(importlib.metadata, "packages_distributions", importlib.metadata.packages_distributions)
        monkeypatch.delitem(sys.modules, "torch", raising=False)

    def _implementation(self, name: str) -> Any:
        self.on_import()
        self.said.append(f"source {name}")
        return SimpleNamespace(import_pipeline=self._import_pipeline)

    def _import_pipeline(self, name: str) -> None:
        self.said.append(f"pipeline {name}")
        self.imported.set()


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> Used:
    return Used(monkeypatch)


def test_nothing_uses_the_gpu_before_it_may_and_imports_do_not_wait_for_that(used: Used) -> None:
    looked = threading.Event()

    def may() -> bool:
        looked.wait(10)
        used.said.append("may")
        return True

    worker = threading.Thread(target=warm.prepare, args=("a", "Pipe", may))
    worker.start()
    used.imported.wait(10)
    looked.set()
    worker.join()
    assert used.said == ["source a", "pipeline Pipe", "may", "context"]


def test_kernels_are_loaded_once_a_source_has_imported_torch(used: Used, monkeypatch: pytest.MonkeyPatch) -> None:
    used.on_import = lambda: monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))
    warm.prepare("a", "", lambda: True)
    assert set(used.said) == {"source a", "pipeline ", "context", "kernels of torch"}


def test_a_worker_that_may_not_use_the_gpu_imports_alone(used: Used, monkeypatch: pytest.MonkeyPatch) -> None:
    used.on_import = lambda: monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))
    warm.prepare("a", "", lambda: False)
    assert used.said == ["source a", "pipeline "]


def test_a_source_that_cannot_be_imported_is_left_to_the_first_case(used: Used) -> None:
    def missing() -> None:
        raise ImportError("no diffusers")

    used.on_import = missing
    warm.prepare("a", "", lambda: True)
    assert used.said == ["context"]


def test_imports_are_not_collected_while_they_run_and_garbage_is_afterwards(used: Used) -> None:
    during = list[bool]()
    used.on_import = lambda: during.append(gc.isenabled())
    warm.prepare("a", "", lambda: False)
    assert (during, gc.isenabled(), gc.get_freeze_count() > 0) == ([False], True, True)
    gc.unfreeze()

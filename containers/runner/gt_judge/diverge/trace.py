"""Reads a trace: `trace.json` and a safetensors file for each case, of which one tensor at a time is in memory.

The format is described in docs/judge/traces.md. A trace may come from anywhere, so nothing in it is believed: file
names stay in the folder, and shapes and digests are compared with what is there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

import ml_dtypes  # makes bfloat16 a dtype of numpy, which safetensors then reads
import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open

from ..errors import JudgeError
from ..text import mistakes, printable
from . import stages

INDEX = "trace.json"
MOST_INDEX = 64 << 20  # bytes; the index of 1,000 cases of 50 steps has 30 MB
MOST_MISTAKES = 5  # that are shown of one index
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # of a file in the folder, and nowhere else

FP8 = ("float8_e4m3fn", "float8_e5m2")  # all of their values are some of bfloat16
for _name in FP8:
    setattr(np, _name, getattr(ml_dtypes, _name))  # where safetensors looks for them

Tensor = NDArray[Any]


def _file_name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError(f"{text!r} is no name that a file in the folder can have")
    return text


Name = Annotated[str, AfterValidator(_file_name)]


class _Lenient(BaseModel):
    """What others add to a trace is no mistake."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Stage(_Lenient):
    """What the index says of a tensor; an engine may say nothing."""

    shape: tuple[int, ...] | None = None
    layout: str = ""


class Case(_Lenient):
    """A case of the index."""

    file: Annotated[Name, Field(max_length=255)]
    sha256: str | None = None
    steps: Annotated[int, Field(ge=0)] | None = None  # that were run, whatever was kept of them
    every: Annotated[int, Field(ge=1)] = 1
    absent: dict[str, str] = {}
    stages: dict[str, Stage] = {}


class Producer(_Lenient):
    """Who wrote the trace."""

    name: str = ""
    version: str = ""


class Index(_Lenient):
    """`trace.json`."""

    schema_version: Literal[1] = 1
    producer: Producer = Producer()
    cases: dict[Annotated[Name, Field(max_length=200)], Case]


@dataclass(frozen=True)
class Trace:
    """A folder with a trace."""

    folder: Path
    index: Index

    @property
    def producer(self) -> str:
        """Who wrote it, for a person."""
        return " ".join(filter(None, (self.index.producer.name, self.index.producer.version)))

    @contextmanager
    def open(self, name: str) -> Iterator[CaseTrace]:
        """The tensors of a case. Raises JudgeError where they cannot be read."""
        case = self.index.cases[name]
        path = self.folder / case.file
        if path.is_symlink() or not path.is_file():  # a link may lead out of the folder, a pipe never ends
            raise JudgeError(f"{path}, which {INDEX} names for {name}, is no file; write the trace again")
        _verify(path, case)
        try:
            with safe_open(path, framework="numpy") as file:
                yield CaseTrace(path, case, file)
        except (SafetensorError, OSError) as error:
            raise JudgeError(f"{path} is no whole safetensors file: {error}; write the trace again") from None


class CaseTrace:
    """The stages of one case, each read when it is asked for."""

    def __init__(self, path: Path, case: Case, file: Any) -> None:
        """Raises JudgeError where index and file contradict each other."""
        self.case, self._path, self._file = case, path, file
        self.shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        for name in self.shapes:
            if not name.isprintable():  # it would break the lines of a table, or act on a terminal
                raise JudgeError(f"{path} names a tensor {name!r}; docs/judge/traces.md has the names of stages")
        for name, stage in case.stages.items():
            if name not in self.shapes:
                raise JudgeError(f"{path} holds no {name}, which {INDEX} names; write the trace again")
            if stage.shape is not None and stage.shape != self.shapes[name]:
                words = f"{list(self.shapes[name])}, by {INDEX} {list(stage.shape)}"
                raise JudgeError(f"{path}: {name} has the shape {words}; write the trace again")

    def __contains__(self, stage: str) -> bool:
        return stage in self.shapes

    def __getitem__(self, stage: str) -> Tensor:
        """The tensor; one of 8 bits as bfloat16. Raises JudgeError for a dtype that cannot be compared."""
        try:
            tensor: Tensor = self._file.get_tensor(stage)
            if tensor.dtype.kind == "c":
                raise TypeError  # noqa: TRY301  # as for a dtype that numpy has not
        except (AttributeError, TypeError):
            dtype = self._file.get_slice(stage).get_dtype()
            raise JudgeError(
                f"{self._path}: {stage} is of the dtype {dtype}; write it as bfloat16 or float32"
            ) from None
        return tensor.astype(ml_dtypes.bfloat16) if str(tensor.dtype) in FP8 else tensor

    def get(self, stage: str) -> Tensor | None:
        """The tensor, where the trace has it."""
        return self[stage] if stage in self.shapes else None

    def layout(self, stage: str) -> str:
        """What the trace says of a stage's axes."""
        described = self.case.stages.get(stage)
        return described.layout if described is not None else ""

    def why_absent(self, stage: str, side: str) -> str:
        """Why the trace, which is the one of this side, lacks a stage, as far as it says."""
        why = self.case.absent
        for name in (stage, stages.family(stage)):
            if name in why:
                return printable(why[name])
        step = stages.step(stage)
        if step is not None and step % self.case.every:
            return f"the {side} holds {every(self.case.every)}"
        if step is not None and self.case.steps is not None and step >= self.case.steps:
            return f"the {side} ran {self.case.steps} steps"
        return ""


def read(folder: Path) -> Trace:
    """Read the index of a trace. Raises JudgeError where there is none, or one with mistakes."""
    path = folder / INDEX
    if not folder.is_dir():
        raise JudgeError(f"{folder} is no directory; name the folder of a trace")
    if not path.is_file():
        raise JudgeError(f"{folder} is no trace: it holds no {INDEX}; docs/judge/traces.md says how to make one")
    try:
        if path.stat().st_size > MOST_INDEX:
            raise JudgeError(f"{path} has more than {MOST_INDEX >> 20} MiB, which no {INDEX} needs")
        return Trace(folder, Index.model_validate_json(path.read_bytes()))
    except OSError as error:
        raise JudgeError(f"{path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        lines = [f"{path} is not what docs/judge/traces.md says:", *islice(mistakes(error), MOST_MISTAKES)]
        raise JudgeError("\n".join(lines)) from None


def _verify(path: Path, case: Case) -> None:
    if case.sha256 is None:
        return
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise JudgeError(f"{path} cannot be read: {error.strerror}") from None
    if digest != case.sha256:
        raise JudgeError(f"{path} is not the file of {INDEX}: their sha256 differ; write the trace again")


def floats(tensor: Tensor) -> NDArray[np.float64]:
    """The values one after another, as numbers of double precision."""
    return tensor.astype(np.float64).reshape(-1)


def every(steps: int) -> str:
    """Which steps a trace holds, in words."""
    return "every step" if steps == 1 else f"every {steps} steps"

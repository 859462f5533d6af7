"""The engine's bodies of check, compare and diverge: the judge in a container."""

from __future__ import annotations

from dataclasses import dataclass

import dagger

from ..judge import on_engine
from ..plan.host import check_kind
from ..run.recipes import CHECK, COMPARE
from .images import InImage
from .judge import Check, Compare, Diverge
from .options import directory_of


@dataclass(frozen=True, kw_only=True)
class CheckOnEngine(InImage, Check):
    """By the judge in a container."""

    async def run_on_engine(self) -> str:
        """What was looked at. Raises GtError with a line for each bad file."""
        return "\n".join(await on_engine.gate(await self.container(CHECK), _subject(self)))


@dataclass(frozen=True, kw_only=True)
class MetricsOnEngine(InImage, Check):
    """What `check` measured of each file, as JSON, and what it holds against which."""

    async def run_on_engine(self) -> dagger.File:
        """The JSON file."""
        return await on_engine.check(await self.container(CHECK), _subject(self))


@dataclass(frozen=True, kw_only=True)
class CompareOnEngine(InImage, Compare):
    """By the judge in a container."""

    async def run_on_engine(self) -> dagger.Directory:
        """Report, JSON and JUnit XML."""
        check_kind(self.engine_gpu)
        subject = on_engine.Subject(
            self.artifact.directory,
            self.images_only,
            directory_of(self.published),
            directory_of(self.engine),
            self.engine_gpu,
            self.noise_floor,
            self.history,
            directory_of(self.models),
            directory_of(self.reference_trace),
            directory_of(self.other_trace),
        )
        return await on_engine.compare(await self.container(COMPARE if self.models else CHECK), subject)


@dataclass(frozen=True, kw_only=True)
class DivergeOnEngine(InImage, Diverge):
    """By the judge in a container."""

    async def run_on_engine(self) -> dagger.Directory:
        """JSON, table and pictures."""
        judge = await self.container(CHECK)
        return await on_engine.diverge(judge, self.reference.directory, self.other.directory, self.options)


def _subject(verb: Check) -> on_engine.Subject:
    return on_engine.Subject(verb.artifact.directory, verb.images_only, directory_of(verb.published))

"""The engine's body of reproduce."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import anyio
import dagger
from dagger import dag
from typing_extensions import Doc

from ..artifact import manifest as manifests
from ..artifact.manifest import Manifest
from ..artifact.replay import Ground, replay, serving_of
from ..artifact.replay_report import Metrics, Reproduction, measure, reproduction
from ..errors import ReproduceError
from ..judge import on_engine as judge
from ..run import recipes, runner, transfer
from ..run.images import Checkout, Images
from ..run.on_engine import probe
from ..run.session import Session, module_tool
from .generate_on_engine import MakingOnEngine
from .images import runner_images
from .options import check_checkout, directory_of
from .reproduce import Reproduce


@dataclass(frozen=True, kw_only=True)
class ReproduceOnEngine(MakingOnEngine, Reproduce):
    """In containers of this engine."""

    must_match: Annotated[bool, Doc("Raise if a file differs, instead of giving what was made.")] = False

    async def run_on_engine(self) -> dagger.Directory:
        """reproduction.json, reproduction.txt and the new artifact in gt/."""
        old = await transfer.exported(self.artifact.directory, "gt")
        manifest = manifests.read(old)
        sources = [record.source for record in manifest.cases.values()]
        images = runner_images(self.base_image, self.images, sources)
        checkout = await self._checkout(manifest, images)
        inputs = await transfer.exported(self.cases.directory, "cases")
        commit = checkout.identity if checkout is not None else None
        ground = Ground(
            await probe(images.base()),
            runner.identity()["runner"],
            inputs,
            containers=True,
            serving=commit,
            tool=await module_tool(),
        )
        plan = replay(manifest, self.case_ids, ground, anyway=self.anyway)
        artifact, _ = await Session(plan.generation, self.settings(self.cases, checkout), images).generate()
        new = await transfer.exported(artifact, "again")
        report = reproduction(manifest, plan, manifests.read(new))
        await _measure(report, old, new, (await images.image(recipes.CHECK)).container)
        return _files(report, artifact, must_match=self.must_match)

    async def _checkout(self, manifest: Manifest, images: Images) -> Checkout | None:
        """The checkout of the serving engine that made native cases: at their commit, if none is named.

        Raises GtError for one that is named where there is no such case.
        """
        serving = serving_of(manifest)
        check_checkout(self.engine, native=serving is not None)
        if serving is None or (self.engine is None and not serving[1]):
            return None
        directory = directory_of(self.engine)
        return await images.checkout(serving[0], directory, "" if directory is not None else serving[1])


async def _measure(report: Reproduction, old: Path, new: Path, container: dagger.Container) -> None:
    async def compare(now: Path, then: Path) -> Mapping[str, Metrics]:
        return await judge.against(container, transfer.folder(now), then)

    await anyio.to_thread.run_sync(measure, report, old, new, lambda *folders: anyio.from_thread.run(compare, *folders))


def _files(report: Reproduction, artifact: dagger.Directory, *, must_match: bool) -> dagger.Directory:
    lines = "\n".join([*report.notes, *report.lines()])
    if must_match and not report.identical:
        raise ReproduceError(lines)
    files = dag.directory().with_new_file("reproduction.json", report.model_dump_json(indent=1) + "\n")
    return files.with_new_file("reproduction.txt", lines + "\n").with_directory("gt", artifact)

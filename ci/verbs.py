"""Functions of the Dagger module that act on an artifact that is there, or on the data files."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import anyio
import dagger
from dagger import Doc, Ignore, dag, function

from .arguments import (
    SOURCES,
    Artifact,
    BaseImage,
    CaseIds,
    Cases,
    EngineCheckout,
    HfEndpoint,
    HfToken,
    ImageList,
    LtxCode,
    WanCode,
    Weights,
)
from .artifact import collect as collecting
from .artifact import folder as artifacts
from .artifact import manifest as manifests
from .artifact.manifest import Manifest
from .artifact.replay import Here, again, engine_of
from .artifact.replay_report import Reproduction, measure, reproduction, values
from .artifact.summary import texts
from .catalogue import files
from .catalogue.upstream.diff import differences
from .errors import DefinitionsError, GtError, ReproduceError
from .judge import on_engine
from .kinds import PublishWay
from .plainly import plainly
from .plan.gitlab import pipeline
from .publish import push
from .publish.batch import batch
from .publish.changes import Order
from .publish.remotes.opening import opened
from .publish.retry import Patience
from .run import on_machine, resolve, transfer
from .run.hosts.call import Connection
from .run.images import Checkout, Images
from .run.on_engine import Settings, probe
from .run.recipes import CHECK, published
from .run.session import Limits, generate

To = Annotated[str, Doc("The data repository: a git server's address.")]
Token = Annotated[dagger.Secret | None, Doc("Token that may write there.")]
User = Annotated[str, Doc("User name for the token, where a server looks at it.")]
Engine = Annotated[
    dagger.Directory,
    Ignore(["*", "!python/**/*.py", "!.github/workflows/*.yml"]),
    Doc("A checkout of sgl-project/sglang; it is read, and nothing of it is run."),
]
Via = Annotated[PublishWay, Doc("The way to the data repository.")]


class Verbs:
    """Part of the module's main object."""

    # Never cached: what a server holds, or a run gives, is not a function of the arguments.
    @function(cache="never")  # type: ignore[call-overload, untyped-decorator]  # the stubs of 0.21.8 lack it
    async def publish_access(self, to: To, token: Token = None, via: Via = PublishWay.GIT, user: User = "") -> str:
        """Raise unless the token may write to the data repository: to be asked before anything is generated."""
        with plainly():
            secret = await token.plaintext() if token is not None else ""
            with opened(to, via.value, token=secret, user=user) as remote:
                await anyio.to_thread.run_sync(Patience().keep_trying, remote.check_access)
            return f"{to} may be written to"

    @function(cache="never")  # type: ignore[call-overload, untyped-decorator]
    async def publish(
        self,
        artifact: Artifact,
        cases: Cases,
        to: To,
        token: Token = None,
        publish_target_dir: Annotated[str, Doc("Publish here, instead of the mode's directory.")] = "",
        per_platform: Annotated[bool, Doc("Publish below it, in a folder for the GPU kind of each case.")] = False,
        branch: Annotated[str, Doc("Made if it is not there; the default branch if not given.")] = "",
        accept: Annotated[list[str], Doc("Cases whose published image is meant to change.")] = [],  # noqa: B006
        reason: Annotated[str, Doc("Why; stands in the commit and in the manifest.")] = "",
        prune: Annotated[bool, Doc("Remove published cases that `cases` does not have.")] = False,
        via: Via = PublishWay.GIT,
        user: User = "",
        ci_run: Annotated[str, Doc("The CI run, for the commit's message.")] = "",
        ref: Annotated[str, Doc("Ref of the CI run, for the commit's message.")] = "",
        base_image: BaseImage = "",
    ) -> str:
        """Publish an artifact: the quality gate, then one commit or none. Gives the commit that holds the files."""
        with plainly():
            if accept and not reason.strip():
                raise GtError("accept needs a reason: why the published image changes")
            directory = await transfer.exported(artifact, "gt")
            found = batch(directory, publish_target_dir, per_platform=per_platform)
            mode = found.manifest.run.selection.mode
            known = set(files.load(await transfer.exported(cases, "cases")).of(mode)) if prune else None
            order = Order(found, dict.fromkeys(accept, reason), known, ci_run, ref)
            judge = (await Images(base_image, {}).image(CHECK)).container
            secret = await token.plaintext() if token is not None else ""
            with opened(to, via.value, branch, secret, user) as remote:

                def checked(_: Path, there: Path) -> None:
                    anyio.from_thread.run(_gate, judge, artifact, there)

                done = await anyio.to_thread.run_sync(partial(push.run, directory, order, remote, checked))
            return "\n".join([done.commit, *push.lines(done, to), *found.left_out]) if done is not None else ""

    @function
    async def attest(
        self,
        artifact: Artifact,
        builder_id: Annotated[str, Doc("URI of what made the artifact, such as the CI's workflow.")] = "",
    ) -> dagger.File:
        """An in-toto statement with SLSA provenance of an artifact: unsigned, for your own key or CI to sign."""
        from .artifact.attest import BUILDER, statement, text  # noqa: PLC0415  # protobuf, which no other function needs

        with plainly():
            made = text(statement(await transfer.exported(artifact, "gt"), builder_id or BUILDER))
            return dag.directory().with_new_file("statement.json", made).file("statement.json")

    @function
    async def collect(
        self,
        parts: Annotated[dagger.Directory, Doc("The artifact of each job, in a folder of its own.")],
        matrix: Annotated[dagger.File, Doc("The CI matrix, as `matrix` gave it.")],
        cases: Cases,
    ) -> dagger.Directory:
        """Put the artifacts of a CI run's jobs together; a case that none delivered is failed in the manifest."""
        with plainly():
            wanted = collecting.named(await matrix.contents())
            known = files.load(await transfer.exported(cases, "cases"))
            folder = await transfer.exported(parts, "parts")
            manifest, results = collecting.collect(collecting.parts(folder), wanted, known)
            artifacts.write(folder.parent / "gt", manifest, results)
            return await transfer.folder(folder.parent / "gt").sync()

    @function
    async def summary(
        self,
        artifact: Artifact,
        artifact_url: Annotated[str, Doc("Where a reader can get the artifact; pictures link there.")] = "",
    ) -> dagger.Directory:
        """Tell an artifact for the page of a CI run: summary.md, a table of its cases, and counts.env."""
        with plainly():
            told = texts(manifests.read(await transfer.exported(artifact, "gt")), artifact_url)
            directory = dag.directory()
            for name, text in told.items():
                directory = directory.with_new_file(name, text)
            return directory

    @function
    async def cases_diff(
        self,
        engine: Engine,
        cases: Cases,
        as_json: Annotated[bool, Doc("JSON, for a program.")] = False,
        must_match: Annotated[bool, Doc("Raise if anything differs, instead of telling it.")] = False,
    ) -> str:
        """Say which cases an engine's own tests define otherwise than our files: added, changed or dropped."""
        with plainly():
            known = files.load(await transfer.exported(cases, "cases"))
            found = differences(known, await transfer.exported(engine, "engine"))
            told = json.dumps(found.data(), indent=1, ensure_ascii=False) if as_json else "\n".join(found.lines())
            if must_match and found:
                raise DefinitionsError(told)
            return told

    @function
    async def gitlab_pipeline(
        self,
        matrix: Annotated[dagger.File, Doc("The CI matrix, as `matrix` gave it.")],
        tag: Annotated[str, Doc("Tag of the runners for what needs no GPU.")],
    ) -> str:
        """The pipeline that GitLab generates with: a job for each entry of the matrix, and what comes after them."""
        with plainly():
            return pipeline(await matrix.contents(), tag)

    @function(cache="never")  # type: ignore[call-overload, untyped-decorator]
    async def pin(
        self, cases: Cases, hf_token: HfToken = None, hf_endpoint: HfEndpoint = "", base_image: BaseImage = ""
    ) -> dagger.Directory:
        """Resolve what is open: model revisions of the case files, and the base image's digest.

        Gives the files that change, to export over the repository with `-o .`
        """
        with plainly():
            return await resolve.pinned(cases, Images(base_image, {}), hf_token, hf_endpoint)

    @function(cache="never")  # type: ignore[call-overload, untyped-decorator]
    async def reproduce(
        self,
        artifact: Artifact,
        cases: Cases,
        case_ids: CaseIds = [],  # noqa: B006
        anyway: Annotated[bool, Doc("Also on another GPU kind, or with other code of the runner.")] = False,
        must_match: Annotated[bool, Doc("Raise if a file differs, instead of giving what was made.")] = False,
        hf_token: HfToken = None,
        hf_endpoint: HfEndpoint = "",
        weights: Weights = None,
        wan_code: WanCode = None,
        ltx_code: LtxCode = None,
        engine: EngineCheckout = None,
        base_image: BaseImage = "",
        images: ImageList = [],  # noqa: B006
    ) -> dagger.Directory:
        """Make the cases of a manifest again, and compare byte for byte.

        Gives reproduction.json, reproduction.txt and the new artifact in gt/. Inputs that a case names by path lie in
        `cases`.
        """
        with plainly():
            old, inputs = await transfer.exported(artifact, "gt"), await transfer.exported(cases, "cases")
            manifest = manifests.read(old)
            sources = {*SOURCES, *(record.source for record in manifest.cases.values())}
            built = Images(base_image, published(images, sources))
            checkout = await _checkout(manifest, built, engine)
            at = checkout.identity if checkout is not None else None
            here = Here(await probe(built.base()), on_machine.identity()["runner"], inputs, image="built", engine=at)
            wanted = again(manifest, case_ids, here, anyway=anyway)
            code = {"wan21": wan_code, "ltx": ltx_code}
            settings = Settings(
                cases=cases,
                weights=weights or dag.cache_volume("diffusion-gt-weights"),
                results=dag.cache_volume("diffusion-gt-results"),
                code={source: given for source, given in code.items() if given is not None},
                engine=checkout,
                token=hf_token,
                hf_endpoint=hf_endpoint,
                images=images,
            )
            made = await generate(wanted.generation, settings, built, [], Connection(), Limits())
            new = await transfer.exported(made, "again")
            found = reproduction(manifest, wanted, manifests.read(new))
            judge = (await built.image(CHECK)).container
            await _measured(found, old, new, judge)
            return _told(found, made, must_match=must_match)


async def _checkout(manifest: Manifest, built: Images, given: dagger.Directory | None) -> Checkout | None:
    """The checkout of the engine that made a manifest's native cases: at their commit, if none is given."""
    made_by = engine_of(manifest)
    if made_by is None or (given is None and not made_by[1]):
        return None
    return await built.checkout(made_by[0], given, "" if given is not None else made_by[1])


async def _gate(judge: dagger.Container, artifact: dagger.Directory, there: Path) -> None:
    """The quality gate in a container, against what is published under the same names."""
    against = transfer.folder(there) if any(there.iterdir()) else None
    await on_engine.gate(judge, on_engine.Judged(artifact, published=against))


async def _measured(found: Reproduction, old: Path, new: Path, judge: dagger.Container) -> None:
    async def compared(now: Path, then: Path) -> str:
        judged = on_engine.Judged(transfer.folder(now), published=transfer.folder(then))
        return await (await on_engine.compare(judge, judged)).file("compare.json").contents()

    def compare(now: Path, then: Path) -> dict[str, dict[str, float | None]]:
        return values(json.loads(anyio.from_thread.run(compared, now, then)))

    await anyio.to_thread.run_sync(measure, found, old, new, compare)


def _told(found: Reproduction, made: dagger.Directory, *, must_match: bool) -> dagger.Directory:
    lines = "\n".join([*found.notes, *found.lines()])
    if must_match and not found.identical:
        raise ReproduceError(lines)
    told = dag.directory().with_new_file("reproduction.json", found.model_dump_json(indent=1) + "\n")
    return told.with_new_file("reproduction.txt", lines + "\n").with_directory("gt", made)

"""An attestation of an artifact: an in-toto Statement v1 with SLSA provenance v1, made of what the manifest says.

The form is JSON as https://in-toto.io/Statement/v1 and https://slsa.dev/provenance/v1 publish it. It is not signed: a
signature says who stands behind it, which is for the key or the identity of the caller's CI.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import ArtifactError
from .manifest import NAME, Manifest, folder_of, read, run_id
from .records import CaseRecord, instant
from .verdict import spoilt

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:diffusion-gt:generate:v1"  # explained in docs/judge/reproduce.md
BUILDER = "urn:diffusion-gt:unnamed-builder"  # who ran it is for the caller to say
HUB, CODE = "https://huggingface.co/", "git+https://github.com/"

Json = dict[str, Any]


def statement(artifact: Path, builder: str = BUILDER) -> Json:
    """The statement about an artifact.

    Raises ArtifactError where a file is not what the manifest says, or where the cases are of several runs.
    """
    manifest = read(artifact)
    artifact = folder_of(artifact)
    if manifest.publication is not None:
        raise ArtifactError(f"{artifact} is published GT, of several runs; provenance is that of one run's artifact")
    problems = list(spoilt(manifest, artifact))
    if problems:
        raise ArtifactError("\n".join([f"{artifact} is not what its manifest says:", *problems]))
    digest = hashlib.sha256((artifact / NAME).read_bytes()).hexdigest()
    files = {NAME: digest, **{name: file.sha256 for name, file in manifest.files.items()}}
    return {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": sha256}} for name, sha256 in files.items()],
        "predicateType": PREDICATE,
        "predicate": _provenance(manifest, builder),
    }


def text(statement: Json) -> str:
    """As it is written to a file."""
    return json.dumps(statement, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _provenance(manifest: Manifest, builder: str) -> Json:
    run, tool = manifest.run, manifest.run.tool
    annotations = {"dirty": tool.dirty, "source": tool.source}
    module = _resource("diffusion-gt", tool.ref, commit=tool.commit, annotations=annotations)
    cases = {name: {"status": record.status, "case": record.case} for name, record in manifest.cases.items()}
    hosts = [host.model_dump(mode="json") for host in run.hosts]
    resources = [each for record in manifest.cases.values() if record.status == "ok" for each in _dependencies(record)]
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {"selection": run.selection.model_dump(mode="json"), "cases": cases},
            "internalParameters": {"host": run.host.model_dump(mode="json"), "hosts": hosts, "made": run.made},
            "resolvedDependencies": list({json.dumps(each): each for each in [module, *resources]}.values()),
        },
        "runDetails": {
            "builder": {"id": builder, "version": {"diffusion-gt": tool.version}},
            "metadata": {
                "invocationId": run_id(run),
                "startedOn": _timestamp(run.started),
                "finishedOn": _timestamp(run.ended),
            },
        },
    }


def _timestamp(time: str) -> str:
    return instant(time).isoformat().replace("+00:00", "Z")


def _dependencies(record: CaseRecord) -> Iterator[Json]:
    """What a case was made of."""
    for weights in record.weights:
        annotations = {"content": weights.digest}
        yield _resource(weights.repo, HUB + weights.repo, commit=weights.commit, annotations=annotations)
    if record.code is not None:
        code = record.code
        uri = f"{CODE}{code.repo}@{code.commit}" if code.commit else f"{CODE}{code.repo}"
        yield _resource(uri=uri, commit=code.commit, annotations={"identity": code.identity})
    for each in record.inputs:
        yield _resource(each.path, each.url, sha256=each.sha256)
    latents: Any = record.case.get("latents")
    if latents:
        yield _resource(latents.get("file"), latents.get("url"), sha256=latents["sha256"])
    if record.image is not None:
        image = record.image
        sha256 = (image.digest or "").removeprefix("sha256:")
        yield _resource(uri=image.reference, sha256=sha256, annotations={"recipe": image.recipe})
    for name, identity in (("gt-runner", record.runner), ("python-environment", record.environment)):
        if identity is not None:
            yield _resource(name, annotations={"identity": identity, "versions": record.versions})


def _resource(
    name: str | None = None,
    uri: str | None = None,
    *,
    commit: str | None = None,
    sha256: str | None = None,
    annotations: Json | None = None,
) -> Json:
    """A ResourceDescriptor of what is known."""
    digest = {key: value for key, value in (("gitCommit", commit), ("sha256", sha256)) if value}
    notes = {key: value for key, value in (annotations or {}).items() if value is not None}
    fields = {"name": name, "uri": uri, "digest": digest, "annotations": notes}
    return {key: value for key, value in fields.items() if value}

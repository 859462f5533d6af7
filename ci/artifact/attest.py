"""An attestation of an artifact: an in-toto Statement v1 with SLSA provenance, made of what the manifest says.

It is not signed: a signature says who stands behind it, which is for the key or the identity of the caller's CI.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2 as provenance
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement

from ..errors import ArtifactError
from ..publish.merge import run_id
from . import manifest as manifests
from .manifest import CaseRecord, Manifest, RunRecord

PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:diffusion-gt:generate:v1"  # explained in docs/judge/reproduce.md
BUILDER = "urn:diffusion-gt:unnamed-builder"  # who ran it is for the caller to say
HUB, CODE = "https://huggingface.co/", "git+https://github.com/"


def statement(artifact: Path, builder: str = BUILDER) -> Statement:
    """The statement about an artifact, validated.

    Raises ArtifactError where a file is not what the manifest says, or where the cases are of several runs.
    """
    manifest = manifests.read(artifact)
    if manifest.publication is not None:
        raise ArtifactError(f"{artifact} is published GT, of several runs; provenance is that of one run's artifact")
    wrong = [line for line in manifests.verdict(artifact) if line.split(":")[0] in manifest.files]
    if wrong:
        raise ArtifactError("\n".join([f"{artifact} is not what its manifest says:", *wrong]))
    digest = hashlib.sha256((artifact / manifests.NAME).read_bytes()).hexdigest()
    files = {manifests.NAME: digest, **{name: file.sha256 for name, file in manifest.files.items()}}
    subjects = [ResourceDescriptor(name=name, digest={"sha256": sha256}).pb for name, sha256 in files.items()]
    made = Statement(subjects, PREDICATE, json_format.MessageToDict(_provenance(manifest, builder)))
    made.validate()
    return made


def text(made: Statement) -> str:
    """As it is written to a file."""
    told = json_format.MessageToDict(made.pb)
    return json.dumps(told, indent=2, sort_keys=True, ensure_ascii=False) + "\n"  # protobuf keeps no order of its own


def _provenance(manifest: Manifest, builder: str) -> Any:
    run = manifest.run
    found = provenance.Provenance()
    build = found.build_definition
    build.build_type = BUILD_TYPE
    build.external_parameters.CopyFrom(
        _struct({"selection": run.selection.model_dump(mode="json"), "cases": _cases(manifest)})
    )
    hosts = [host.model_dump(mode="json") for host in run.hosts]
    internal = {"host": run.host.model_dump(mode="json"), "hosts": hosts, "made": run.made}
    build.internal_parameters.CopyFrom(_struct(internal))
    records = [record for record in manifest.cases.values() if record.status == "ok"]
    named = {_name(each): each for record in records for each in _dependencies(record)}
    build.resolved_dependencies.extend([_tool(run), *named.values()])
    details = found.run_details
    details.builder.id = builder
    details.builder.version["diffusion-gt"] = run.tool.version
    details.metadata.invocation_id = run_id(run)
    details.metadata.started_on.FromDatetime(datetime.fromisoformat(run.started))
    details.metadata.finished_on.FromDatetime(datetime.fromisoformat(run.ended))
    return found


def _cases(manifest: Manifest) -> dict[str, Any]:
    """The whole cases as JSON text, since a protobuf Struct would make every number a float; and what each came to."""
    cases = {
        name: json.dumps(record.case, sort_keys=True, ensure_ascii=False) for name, record in manifest.cases.items()
    }
    return {name: {"status": manifest.cases[name].status, "case": case} for name, case in cases.items()}


def _tool(run: RunRecord) -> Any:
    digest = {"gitCommit": run.tool.commit} if run.tool.commit else {}
    return ResourceDescriptor(name="diffusion-gt", digest=digest, annotations={"dirty": run.tool.dirty}).pb


def _dependencies(record: CaseRecord) -> Iterator[Any]:
    """What a case was made of."""
    for weights in record.weights:
        commit = {"gitCommit": weights.commit} if weights.commit else {}
        told = {"content": weights.digest}
        yield ResourceDescriptor(name=weights.repo, uri=HUB + weights.repo, digest=commit, annotations=told).pb
    if record.code is not None:
        code, commit = record.code, {"gitCommit": record.code.commit} if record.code.commit else {}
        uri = f"{CODE}{code.repo}@{code.commit}" if code.commit else f"{CODE}{code.repo}"
        yield ResourceDescriptor(uri=uri, digest=commit, annotations={"identity": code.identity}).pb
    for given in record.inputs:
        yield ResourceDescriptor(name=given.path or "", uri=given.url or "", digest={"sha256": given.sha256}).pb
    if record.image is not None:
        image = record.image
        digest = {"sha256": image.digest.removeprefix("sha256:")} if image.digest else {}
        yield ResourceDescriptor(uri=image.reference, digest=digest, annotations={"recipe": image.recipe or ""}).pb
    for name, identity in (("gt-runner", record.runner), ("python-environment", record.environment)):
        if identity is not None:
            yield ResourceDescriptor(name=name, annotations={"identity": identity, "versions": record.versions}).pb


def _name(resource: Any) -> tuple[str, str, str]:
    return resource.name, resource.uri, json.dumps(json_format.MessageToDict(resource), sort_keys=True)


def _struct(values: dict[str, Any]) -> Struct:
    struct = Struct()
    struct.update(values)
    return struct

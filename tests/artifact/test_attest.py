"""The promises of the attestation: valid by the ecosystem's own library, about the very files and what made them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement

from ci.artifact.attest import PREDICATE, statement, text
from ci.artifact.manifest import NAME, Manifest
from ci.catalogue.files import Catalogue
from ci.errors import ArtifactError
from ci.publish.merge import merge
from tests.conftest import Gt
from tests.support.publishers import artifact, write
from tests.verbs.test_reproduce import recorded


@pytest.fixture
def made(tmp_path: Path, catalogue: Catalogue) -> Path:
    """An artifact of one finished case with weights, code and an input, and one that failed."""
    folder = artifact(tmp_path / "gt", {"a": b"image a", "bad": None})
    manifest = Manifest.model_validate_json((folder / NAME).read_text())
    name = "ltx_2.3_one_stage_ti2v"
    record = recorded(catalogue, name, files=manifest.cases["a"].files)
    write(folder, manifest.model_copy(update={"cases": {name: record, "bad": manifest.cases["bad"]}}))
    return folder


def test_the_statement_is_valid_by_the_librarys_own_rules(made: Path) -> None:
    written = text(statement(made))
    parsed = json_format.Parse(written, statement_pb2.Statement())
    again = Statement.copy_from_pb(parsed)
    again.validate()
    assert again.pb.predicate_type == PREDICATE
    predicate = json_format.ParseDict(json.loads(written)["predicate"], provenance_pb2.Provenance())
    assert predicate.build_definition.build_type == "urn:diffusion-gt:generate:v1"
    assert predicate.run_details.metadata.started_on.seconds > 0


def test_its_subjects_are_the_manifest_and_every_file_by_sha256(made: Path) -> None:
    subjects = {each.name: each.digest["sha256"] for each in statement(made).pb.subject}
    assert subjects == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in made.iterdir() if path.name != "x"
    }


def test_it_names_what_the_cases_were_made_of(made: Path) -> None:
    predicate = json.loads(text(statement(made, "https://ci/builder")))["predicate"]
    dependencies = predicate["buildDefinition"]["resolvedDependencies"]
    by_uri = {each["uri"]: each for each in dependencies if "uri" in each}
    assert by_uri["https://huggingface.co/Lightricks/LTX-2.3"]["digest"] == {"gitCommit": "c" * 40}
    assert any(uri.startswith("git+https://github.com/Lightricks/LTX-2@") for uri in by_uri)
    assert any(each.get("digest") == {"sha256": "d" * 64} for each in dependencies)
    assert {"gt-runner", "python-environment", "diffusion-gt"} <= {each.get("name") for each in dependencies}
    assert predicate["runDetails"]["builder"]["id"] == "https://ci/builder"
    cases = predicate["buildDefinition"]["externalParameters"]["cases"]
    assert {name: case["status"] for name, case in cases.items()} == {"ltx_2.3_one_stage_ti2v": "ok", "bad": "failed"}


def test_nothing_is_attested_of_files_that_are_not_what_the_manifest_says(made: Path) -> None:
    (made / "a_1gpu.png").write_bytes(b"another")
    with pytest.raises(ArtifactError, match=r"a_1gpu\.png: changed"):
        statement(made)
    (made / "a_1gpu.png").unlink()
    with pytest.raises(ArtifactError, match=r"a_1gpu\.png: missing"):
        statement(made)


def test_published_gt_of_several_runs_has_no_provenance_of_one(made: Path) -> None:
    manifest = Manifest.model_validate_json((made / NAME).read_text())
    held = merge(None, manifest, ["ltx_2.3_one_stage_ti2v"])
    assert held is not None
    (made / NAME).write_text(held.text())
    with pytest.raises(ArtifactError, match="of several runs"):
        statement(made)


def test_the_command_writes_where_it_is_told_and_never_into_the_artifact_by_itself(made: Path, gt: Gt) -> None:
    before = sorted(path.name for path in made.iterdir())
    shown = gt("attest", "--artifact", str(made))
    assert json.loads(shown.stdout)["_type"] == "https://in-toto.io/Statement/v1"
    asked = gt("attest", "--artifact", str(made), "-o", "statement.json")
    assert (asked.returncode, asked.stdout) == (0, "")
    assert "it is not signed" in asked.stderr
    assert (made.parent / "statement.json").read_text() == shown.stdout
    assert sorted(path.name for path in made.iterdir()) == before
    assert gt("attest", "--artifact", "nowhere").returncode == 2

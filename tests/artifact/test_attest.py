"""The promises of the attestation: of the published form, about the very files and what made them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from ci.artifact.attest import statement, text
from ci.artifact.manifest import NAME, Manifest
from ci.artifact.records import Tool
from ci.artifact.tool import of_module
from ci.catalogue.files import Catalogue
from ci.errors import ArtifactError
from ci.publish.merge import merge
from tests.conftest import ROOT, Gt
from tests.support.publishers import artifact, write
from tests.verbs.test_reproduce import recorded

FORM = Draft202012Validator(json.loads((ROOT / "tests" / "support" / "provenance.schema.json").read_text()))


@pytest.fixture
def made(tmp_path: Path, catalogue: Catalogue) -> Path:
    """An artifact of one finished case with weights, code and an input, and one that failed."""
    folder = artifact(tmp_path / "gt", {"a": b"image a", "bad": None})
    manifest = Manifest.model_validate_json((folder / NAME).read_text())
    name = "ltx_2.3_one_stage_ti2v"
    record = recorded(catalogue, name, files=manifest.cases["a"].files)
    write(folder, manifest.model_copy(update={"cases": {name: record, "bad": manifest.cases["bad"]}}))
    return folder


def test_the_statement_has_the_published_form(made: Path) -> None:
    written = json.loads(text(statement(made)))
    FORM.validate(written)
    assert written["predicate"]["buildDefinition"]["buildType"] == "urn:diffusion-gt:generate:v1"
    assert written["predicate"]["runDetails"]["metadata"]["startedOn"] == "2026-01-01T00:00:00Z"


def test_what_the_manifest_does_not_know_is_left_out(made: Path) -> None:
    dependencies = statement(made)["predicate"]["buildDefinition"]["resolvedDependencies"]
    (tool,) = [each for each in dependencies if each.get("name") == "diffusion-gt"]
    assert "digest" not in tool


def test_a_dagger_module_is_named_by_what_dagger_knows_of_it(made: Path) -> None:
    manifest = Manifest.model_validate_json((made / NAME).read_text())
    for tool, expected in (
        (of_module("xxh3:0123abc"), {"name": "diffusion-gt", "annotations": {"source": "xxh3:0123abc"}}),
        (
            Tool(version="1", commit="a" * 40, dirty=False, ref="https://github.com/o/r@v1.0.0", source="sha256:0a"),
            {
                "name": "diffusion-gt",
                "uri": "https://github.com/o/r@v1.0.0",
                "digest": {"gitCommit": "a" * 40},
                "annotations": {"dirty": False, "source": "sha256:0a"},
            },
        ),
    ):
        run = manifest.run.model_copy(update={"tool": tool})
        (made / NAME).write_text(manifest.model_copy(update={"run": run}).text())
        assert expected in statement(made)["predicate"]["buildDefinition"]["resolvedDependencies"]
        FORM.validate(statement(made))


def test_cases_keep_their_numbers(made: Path, catalogue: Catalogue) -> None:
    cases = json.loads(text(statement(made)))["predicate"]["buildDefinition"]["externalParameters"]["cases"]
    name = "ltx_2.3_one_stage_ti2v"
    assert json.dumps(cases[name]["case"], sort_keys=True) == json.dumps(catalogue.cases[name].data(), sort_keys=True)


def test_its_subjects_are_the_manifest_and_every_file_by_sha256(made: Path) -> None:
    subjects = {each["name"]: each["digest"]["sha256"] for each in statement(made)["subject"]}
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


def test_it_names_the_first_noise_that_a_case_gives(made: Path) -> None:
    whole = json.loads((made / NAME).read_text())
    whole["cases"]["ltx_2.3_one_stage_ti2v"]["case"]["latents"] = {"file": "noise.safetensors", "sha256": "e" * 64}
    (made / NAME).write_text(json.dumps(whole))
    dependencies = statement(made)["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert {"name": "noise.safetensors", "digest": {"sha256": "e" * 64}} in dependencies


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

"""The published JSON Schemas are current, named in every case file, and accept what we write."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from ci.artifact import schemas
from ci.artifact.manifest import Manifest
from ci.catalogue.files import CASES
from tests.support.factory import body
from tests.support.records import manifest

CASE_SCHEMA = CASES / "case.schema.json"


@pytest.mark.parametrize("path", schemas.PUBLISHED, ids=lambda path: path.name)
def test_a_schema_is_what_its_model_says(path: Path) -> None:
    assert path.read_text() == schemas.text(schemas.PUBLISHED[path]), "run `uv run python -m ci.artifact.schemas`"


@pytest.mark.parametrize("path", sorted(CASES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_case_file_names_the_schema_and_satisfies_it(path: Path) -> None:
    text = path.read_text()
    assert text.startswith(f"# yaml-language-server: $schema={CASE_SCHEMA.name}\n")
    jsonschema.Draft202012Validator(json.loads(CASE_SCHEMA.read_text())).validate(yaml.safe_load(text))


def test_the_schema_refuses_what_the_model_refuses() -> None:
    validator = jsonschema.Draft202012Validator(json.loads(CASE_SCHEMA.read_text()))
    file = {"version": 1, "source": "diffusers", "cases": {"one": body()}}
    validator.validate(file)
    file["cases"] = {"one": body(colour="red")}
    assert not validator.is_valid(file)


def test_a_manifest_satisfies_its_schema() -> None:
    schema = json.loads((Path(schemas.__file__).parent / "manifest.schema.json").read_text())
    written = json.loads(manifest({"one": "ok", "two": "failed"}).text())
    jsonschema.Draft202012Validator(schema).validate(written)
    assert Manifest.model_validate(written).text() == manifest({"one": "ok", "two": "failed"}).text()

"""The promise about options that name the serving engine: where it makes none of the cases, that is said."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from ci.artifact.manifest import NAME
from ci.catalogue.gpus import CPU
from ci.errors import GtError
from ci.plan.host import Host
from ci.verbs.generate import Generate, GenerateOnMachine
from ci.verbs.generate_on_engine import GenerateOnEngine
from ci.verbs.options import Folder
from ci.verbs.reproduce import ReproduceOnMachine
from ci.verbs.reproduce_on_engine import ReproduceOnEngine
from tests.support.records import manifest

SAID = "--engine names the serving engine that makes native cases, and these are none; leave it out"
UNUSED: Any = None


@pytest.mark.parametrize("verb", [GenerateOnMachine, GenerateOnEngine])
@pytest.mark.parametrize(
    "options", [{"official": True}, {"source_group": "smoke"}, {"official": True, "case_ids": ("flux_2_ti2i",)}]
)
def test_a_checkout_beside_cases_that_no_serving_engine_makes_is_refused(
    verb: type[Generate], options: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(GtError) as refusal:
        verb(engine=Folder(tmp_path), **options).generation(Host(CPU))
    assert str(refusal.value) == SAID
    verb(**options).generation(Host(CPU))
    verb(engine=Folder(tmp_path)).generation(Host(CPU))


def test_so_it_is_beside_a_manifest_of_such_cases(tmp_path: Path) -> None:
    artifact = manifest({"one": "ok"})
    (tmp_path / NAME).write_text(artifact.text())
    with pytest.raises(GtError) as refusal:
        ReproduceOnMachine(artifact=Folder(tmp_path), engine=Folder(tmp_path)).run()
    assert str(refusal.value) == SAID
    on_engine = ReproduceOnEngine(artifact=Folder(tmp_path), engine=Folder(tmp_path))
    with pytest.raises(GtError) as refusal:
        asyncio.run(on_engine._checkout(artifact, UNUSED))
    assert str(refusal.value) == SAID


def test_a_ref_beside_them_is_told_and_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    verb = GenerateOnEngine(official=True, case_ids=("flux_2_ti2i",), engine_ref="a-branch")
    assert asyncio.run(verb._checkout(verb.select(), UNUSED)) is None
    assert capsys.readouterr().err == "gt: --engine-ref a-branch is for native cases, and these are none\n"

"""`dagger call export`: the runner image for machines without an engine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ci.run.on_slurm.container import image_record
from tests.engine.conftest import Call


@pytest.mark.long
def test_a_runner_image_comes_as_an_oci_archive_that_names_its_digest(call: Call, tmp_path: Path) -> None:
    archive = tmp_path / "smoke.tar"
    called = call("export", "--source", "smoke", "-o", str(archive))
    assert called.status == 0, called.err[-3000:]
    record = image_record(str(archive))
    assert record["reference"] == "smoke.tar"
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", record["digest"])

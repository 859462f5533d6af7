"""The engine's definitions, read by the module as by the local command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Gt
from tests.engine.conftest import Call
from tests.support import sglang_definitions as stand_in


@pytest.mark.long
def test_the_module_tells_what_the_local_command_tells(call: Call, gt: Gt, tmp_path: Path) -> None:
    ours = stand_in.write_ours(tmp_path / "cases")
    engine = stand_in.write(tmp_path / "engine", {stand_in.SERVER / "gpu_cases.py": ('"fox_t2i"', '"wolf_t2i"')})
    where = ("--engine", str(engine), "--cases", str(ours))
    local = gt("cases", "diff", *where, "--json")
    assert local.returncode == 1
    assert json.loads(call("cases-diff", *where, "--as-json").out) == json.loads(local.stdout)

    refused = call("cases-diff", *where, "--must-match")
    assert refused.status == 1
    assert "dropped  fox_t2i: no suite defines it" in refused.message

"""`trace` on an engine: the files of a trace, and nothing of an artifact."""

from __future__ import annotations

import hashlib
import json
import uuid
from pathlib import Path

from safetensors.torch import load_file

from tests.engine.conftest import Call

SMOKE = ("--source-group", "smoke", "--on", "cpu")


def test_the_traces_of_all_jobs_are_one_folder(call: Call, tmp_path: Path) -> None:
    volume, stages = f"gt-test-{uuid.uuid4().hex}", ("--stages", "latents.0", "--stages", "decoded")
    called = call("trace", *SMOKE, *stages, "--results", volume, "-o", str(tmp_path / "traces"))
    assert called.status == 0, called.err[-3000:]
    assert "up to some" in called.err
    index = json.loads((tmp_path / "traces" / "trace.json").read_text())
    assert sorted(index["cases"]) == ["smoke_t2i", "smoke_t2v", "smoke_ti2i"]
    files = {entry["file"] for entry in index["cases"].values()}
    assert {path.name for path in (tmp_path / "traces").iterdir()} == {"trace.json", *files}
    for entry in index["cases"].values():
        file = tmp_path / "traces" / entry["file"]
        assert hashlib.sha256(file.read_bytes()).hexdigest() == entry["sha256"]
        assert set(load_file(file)) == {"latents.0", "decoded"}

"""The promise about inputs that lie on this machine: all that are wrong are named before anything is started."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import ROOT, Gt
from tests.support.factory import write_cases
from tests.support.pictures import encoded, scene

SMOKE: dict[str, Any] = yaml.safe_load((ROOT / "cases" / "smoke.yaml").read_text())["cases"]["smoke_ti2i"]


def case(path: str, sha256: str | None = None) -> dict[str, Any]:
    return SMOKE | {"inputs": [{"path": path} | ({"sha256": sha256} if sha256 else {})]}


def test_every_wrong_input_of_every_selected_case_is_named_and_nothing_is_started(gt: Gt, tmp_path: Path) -> None:
    image = encoded(scene(1), "a.png")
    folder = write_cases(
        tmp_path / "cases",
        {
            "good": case("good.png", hashlib.sha256(image).hexdigest()),
            "missing": case("missing.png"),
            "text": case("text.png"),
            "wrong": case("good.png", "0" * 64),
            "linked": case("link.png"),
        },
        "smoke",
    )
    (folder / "good.png").write_bytes(image)
    (folder / "text.png").write_text("a cat")
    (folder / "link.png").symlink_to("good.png")
    run = gt("generate", "--cases", "cases", "--source-group", "smoke")
    assert run.returncode == 2, run.stderr
    for name in ("missing", "text", "wrong", "linked"):
        assert f"{name} inputs.0." in run.stderr
    assert "good inputs" not in run.stderr
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "gt").exists()

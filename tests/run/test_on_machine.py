"""The promises of a run on this machine before anything starts: it has a place to keep things, or says what to do."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from ci.errors import GtError
from ci.run.on_machine import Places
from tests.conftest import Gt


def test_a_user_without_a_home_is_told_of_gt_cache_and_can_use_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def unknown(_: int) -> pwd.struct_passwd:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "XDG_CACHE_HOME", "GT_CACHE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(GtError, match="set GT_CACHE to a folder that can be written"):
        Places().check([])
    monkeypatch.setenv("GT_CACHE", str(tmp_path / "cache"))
    Places().check([])


def test_a_cache_or_an_output_that_cannot_be_written_is_said_before_the_run(gt: Gt, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    smoke = ("generate", "--source-group", "smoke")
    run = gt(*smoke, env={"GT_CACHE": str(tmp_path / "file")})
    assert (run.returncode, "set GT_CACHE to a folder" in run.stderr) == (2, True)
    for verb in (smoke, ("compare", "--published", "."), ("reproduce", ".")):
        run = gt(*verb, "-o", "file")
        assert (run.returncode, "file is a file" in run.stderr) == (2, True), run.stderr
    assert "Traceback" not in run.stderr
    assert {path.name for path in tmp_path.iterdir() if path.name != "cache"} == {"file"}


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_a_screen_of_another_encoding_shows_stand_ins_and_no_traceback(gt: Gt, encoding: str) -> None:
    run = gt("plan", "--source-group", "smoke", env={"PYTHONIOENCODING": encoding})
    assert (run.returncode, run.stderr) == (0, "")
    assert "smoke_t2i" in run.stdout
    assert os.linesep in run.stdout

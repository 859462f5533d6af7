"""`gt cache` says where things lie and how large they are, and removes what it shows and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ci.errors import GtError
from ci.run import cache
from ci.verbs.cache import Cache

MODEL, OTHER = "models--black-forest-labs--FLUX.1-dev", "models--somebody--else"
DAY = 86_400


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two results, an input, a half-made result, the weights of one of our models, and those of another one."""
    monkeypatch.setenv("GT_CACHE", str(tmp_path / "gt"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    for name, age in {
        "gt/results/old/a.png": 40,
        "gt/results/new/a.png": 0,
        "gt/results/.half.partial/a.png": 0,
        "gt/inputs/0123.png": 40,
        "gt/mine/a.png": 40,
        f"hub/{MODEL}/blobs/abc": 10,
        f"hub/{OTHER}/blobs/abc": 40,
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 1_000)
        moment = time.time() - age * DAY
        os.utime(path, (moment, moment))
    snapshot = tmp_path / "hub" / MODEL / "snapshots" / "c0ffee"
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").symlink_to("../../blobs/abc")
    return tmp_path


def left(home: Path) -> set[str]:
    return {path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file() and not path.is_symlink()}


def test_each_place_is_shown_with_its_size_and_nothing_is_removed(home: Path) -> None:
    before = left(home)
    answer = Cache().run()
    rows = {line.split()[0]: line.split() for line in answer.text.splitlines()}
    assert rows["results"] == ["results", "2.0", "kB", "2", str(home / "gt" / "results")]
    assert rows["inputs"] == ["inputs", "1.0", "kB", "1", str(home / "gt" / "inputs")]
    assert rows["weights"][:1] + rows["weights"][-1:] == ["weights", str(home / "hub")]
    assert "black-forest-labs/FLUX.1-dev" in answer.text
    assert "somebody" not in answer.text
    assert answer.lines == ["4 items, 4.0 kB; --clean removes them"]
    assert left(home) == before


@pytest.mark.parametrize(
    ("options", "removed"),
    [
        ({}, {"gt/results/old/a.png", "gt/results/new/a.png", "gt/inputs/0123.png", f"hub/{MODEL}/blobs/abc"}),
        ({"keep_weights": True}, {"gt/results/old/a.png", "gt/results/new/a.png", "gt/inputs/0123.png"}),
        ({"older_than": "30"}, {"gt/results/old/a.png", "gt/inputs/0123.png"}),
        ({"older_than": "1w"}, {"gt/results/old/a.png", "gt/inputs/0123.png", f"hub/{MODEL}/blobs/abc"}),
        ({"older_than": "1w", "keep_weights": True}, {"gt/results/old/a.png", "gt/inputs/0123.png"}),
        ({"older_than": "100d"}, set()),
    ],
)
def test_what_is_shown_is_what_is_removed(home: Path, options: dict[str, Any], removed: set[str]) -> None:
    before = left(home)
    table = Cache(**options).run().text
    assert Cache(**options, clean=True).run().text == table
    assert before - left(home) == removed
    assert not list(home.rglob("*.removed"))


def test_a_half_made_result_that_nobody_works_on_any_more_is_removed(home: Path) -> None:
    moment = time.time() - 2 * DAY
    os.utime(home / "gt/results/.half.partial/a.png", (moment, moment))
    Cache(clean=True).run()
    assert "gt/results/.half.partial/a.png" not in left(home)


@pytest.mark.parametrize("text", ["x", "-1", "3y", "1 2"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(GtError, match="write days, or such as 12h, 30d, 4w"):
        Cache(older_than=text).run()


def test_weights_are_looked_for_where_the_library_puts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME")
    settings = [
        {},
        {"XDG_CACHE_HOME": "/xdg"},
        {"HF_HOME": "~/hf", "XDG_CACHE_HOME": "/xdg"},
        {"HUGGINGFACE_HUB_CACHE": "/older", "HF_HOME": "/hf"},
        {"HF_HUB_CACHE": "$HOME/hub", "HUGGINGFACE_HUB_CACHE": "/older"},
    ]
    program = f"""
import importlib, json, os, sys
from huggingface_hub import constants
found = []
for setting in json.loads(sys.argv[1]):
    for name in {names!r}:
        os.environ.pop(name, None)
    os.environ.update(setting)
    found.append(importlib.reload(constants).HF_HUB_CACHE)
print(json.dumps(found))
"""
    command = [sys.executable, "-c", program, json.dumps(settings)]
    theirs = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    for setting, expected in zip(settings, theirs, strict=True):
        for name in names:
            monkeypatch.delenv(name, raising=False)
        for name, value in setting.items():
            monkeypatch.setenv(name, value)
        assert str(cache.hub_cache()) == expected


def test_a_user_without_a_home_sees_the_caches_all_the_same(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)  # whom the system does not know
    assert f"{home / 'gt' / 'results'}\n" in Cache().run().text

"""The promise of reading manifests: one of another shape is answered in words, the artifact's and the published one."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gt_judge import __main__ as judge
from gt_judge.records import read
from tests.support import pictures
from tests.support.pictures import scene

ONE = "one_1gpu.png"
SMALL = (48, 32)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures.artifact(tmp_path_factory.mktemp("good") / "gt", {ONE: scene(1, SMALL)})


def status(command: str, out: Path, monkeypatch: pytest.MonkeyPatch, **spec: str) -> int:
    (out / "spec.json").write_text(json.dumps(spec))
    target = out / ("result.json" if command == "check" else "result")
    monkeypatch.setattr("sys.argv", ["gt_judge", command, str(out / "spec.json"), str(target)])
    return judge.main()


def judged(
    folder: Path, good: Path, who: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> list[tuple[int, str]]:
    """Exit status and message of both commands, with the folder as the artifact or as published GT."""
    places = {"artifact": str(good), "published": str(good)} | {who: str(folder)}
    commands = ("check", "compare")
    return [(status(command, folder.parent, monkeypatch, **places), capsys.readouterr().err) for command in commands]


TEXTS: dict[str, tuple[Any, str]] = {
    "no JSON": ("{", "is no manifest"),
    "empty": ("", "is no manifest"),
    "a list": ([], "is no manifest"),
    "null": (None, "is no manifest"),
    "other": ({"name": "an extension", "manifest_version": 3}, "is no manifest: schema_version: Field required"),
    "nested": ("[" * 100_000, "is no manifest"),
    "no UTF-8": (b"\xff\xfe", "is no manifest"),
    "newer": ({"schema_version": 2}, "is made by a newer version of diffusion-gt: update this one"),
    "newer, other shape": ({"schema_version": 99, "cases": []}, "is made by a newer version of diffusion-gt"),
}


@pytest.mark.parametrize("who", ["artifact", "published"])
@pytest.mark.parametrize("name", TEXTS)
def test_a_file_that_is_no_manifest_is_answered_in_words(
    name: str, who: str, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content, words = TEXTS[name]
    folder = pictures.write(tmp_path / "gt", {ONE: scene(1, SMALL)})
    data = content if isinstance(content, bytes) else content if isinstance(content, str) else json.dumps(content)
    (folder / "manifest.json").write_bytes(data if isinstance(data, bytes) else data.encode())
    for code, message in judged(folder, good, who, monkeypatch, capsys):
        assert code == 2
        assert words in message
        assert len(message.splitlines()) == 1


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_a_manifest_that_is_no_file_is_answered_in_words(
    make: Any, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = pictures.write(tmp_path / "gt", {ONE: scene(1, SMALL)})
    make(folder / "manifest.json")
    for who in ("artifact", "published"):
        assert {code for code, _ in judged(folder, good, who, monkeypatch, capsys)} == {2}


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where each value lies in nested JSON."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, inner in items for place in paths(inner, (*at, key)))]


def without(manifest: Any, place: tuple[Any, ...], value: Any, *, remove: bool) -> Any:
    changed = copy.deepcopy(manifest)
    if not place:
        return value
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    if remove:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return changed


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.sampled_from(["../../etc/passwd", "", "\x1b[2J", "NaN", "video"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@pytest.mark.parametrize("who", ["artifact", "published"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_a_manifest_that_was_changed_anywhere_is_judged_or_answered_in_words(
    who: str,
    data: st.DataObject,
    good: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    manifest = json.loads((good / "manifest.json").read_text())
    place = data.draw(st.sampled_from(paths(manifest)))
    changed = without(manifest, place, data.draw(VALUES), remove=data.draw(st.booleans()))
    folder = pictures.write(tmp_path_factory.mktemp("changed") / "gt", {ONE: scene(1, SMALL)})
    (folder / "manifest.json").write_text(json.dumps(changed))
    for code, message in judged(folder, good, who, monkeypatch, capsys):
        assert code in (0, 2)
        assert (len(message.splitlines()) == 1) == (code == 2)


def test_a_manifest_of_ours_is_read(good: Path, tmp_path: Path) -> None:
    manifest = read(good)
    assert manifest is not None
    assert list(manifest["cases"]) == ["one"]
    assert read(tmp_path) is None

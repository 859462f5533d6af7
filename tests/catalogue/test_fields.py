"""The promise of names: what comes out of a case, a manifest or an option is one component of a path on any system."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.catalogue import files
from ci.catalogue.fields import FILE_LENGTH, NAME_LENGTH, path_name_mistake, relative_path
from ci.errors import CatalogueError
from tests.support.factory import body, write_cases


@pytest.mark.parametrize(
    "name",
    ["a", "wan2_1_t2v_1.3b", "h100", "nvidia rtx a6000", "console", "com10", "a..b", "_x", "Größe.png", "a" * 100],
)
def test_a_portable_name_is_taken(name: str) -> None:
    assert path_name_mistake(name) is None


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", ".git", ".GIT", ".gitmodules", "GIT~1", "-x", " x", "x ", "x.", "..."),
        *("a/b", "a\\b", "/", "C:", "a:b", "a*", "a?", "a|b", "<a>", 'a"b'),
        *("a\nb", "a\0", "a\x1b[31m", "a\u202eb", "a\u200bb", "a\u00a0b", "a\ud800", "o\u0308"),
        *("con", "CON", "con.txt", "Nul.png.x", "aux", "prn", "com1", "LPT9.yaml", "com\u00b9", "con .txt", "conin$"),
        "a" * 101,
        "ä" * 51,
    ],
)
def test_a_name_that_some_system_reads_otherwise_is_refused(name: str) -> None:
    assert path_name_mistake(name)


@given(text=st.text(max_size=120))
def test_a_name_that_is_taken_is_one_component_that_stays_in_its_folder(text: str) -> None:
    if path_name_mistake(text) is None:
        assert (Path("/folder") / text).parts == ("/", "folder", text)
        assert len(text.encode()) <= NAME_LENGTH < FILE_LENGTH


@pytest.mark.parametrize("path", ["a.png", "inputs/a.png", "a b/c.d"])
def test_a_path_below_its_folder_is_taken(path: str) -> None:
    assert relative_path(path) == path


@pytest.mark.parametrize("path", ["", "/a", "../a", "a/../../b", "a//b", "./a", "a/", "a\\..\\b", "C:/a", "a/.git/x"])
def test_a_path_that_may_leave_its_folder_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="a path below the folder"):
        relative_path(path)


@pytest.mark.parametrize("name", ["con", "nul.t2i", "a.", ".a", "a/b", "..", "x" * 101, "a\nb", "é"])
def test_a_case_id_that_is_no_name_is_a_mistake_with_its_line(name: str, tmp_path: Path) -> None:
    write_cases(tmp_path, {name: body()})
    with pytest.raises(CatalogueError) as error:
        files.load(tmp_path)
    assert [(mistake.line, mistake.file) for mistake in error.value.mistakes] == [(4, "diffusers.yaml")]


@pytest.mark.parametrize(
    "changes",
    [
        {"groups": ["con"]},
        {"model": {"repo": "../.."}},
        {"model": {"repo": "owner/.git"}},
        {"inputs": [{"path": "../a.png"}], "conditioning": "raw"},
        {"inputs": [{"path": "/etc/passwd"}], "conditioning": "raw"},
        {"loras": [{"repo": "owner/lora", "file": "../../x.safetensors"}]},
        {"needs": {"gpu": "any", "minutes": 1e308}},
        {"needs": {"gpu": "any", "minutes": 1, "limit_minutes": 1e308}},
        {"call": {"prompt": "p", "num_inference_steps": 10**9, "seed": 1}},
    ],
)
def test_every_name_path_and_figure_that_a_plan_is_made_of_is_held_to_its_rule(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    write_cases(tmp_path, {"one": body(**changes)})
    with pytest.raises(CatalogueError) as error:
        files.load(tmp_path)
    assert len(error.value.mistakes) == 1


@pytest.mark.parametrize("name", ["", "[/x]", "a b", "a\nb", "\x1b[31m", "a" * 101])
def test_a_tiny_pipeline_that_is_no_class_name_is_a_mistake(name: str, tmp_path: Path) -> None:
    write_cases(tmp_path, {"one": body(model={"tiny": name})}, "smoke")
    with pytest.raises(CatalogueError) as error:
        files.load(tmp_path)
    assert [mistake.key for mistake in error.value.mistakes] == ["model.tiny"]

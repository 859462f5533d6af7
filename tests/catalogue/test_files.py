"""The promises of the case files' validation: all mistakes at once, each where it stands."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from ci.catalogue import files
from ci.errors import CatalogueError, GtError, Mistake
from tests.support.factory import body, write_cases

BROKEN = """\
version: 1
source: diffusers
cases:
  one:
    model: {repo: a/b, revison: null}
    needs: {gpu: h1000, minutes: "3"}
    call: {prompt: yes, num_inference_steps: 0}
    runtime: {dtype: bf16, generator_device: cuda, attention: sdpa, quantization: none, offload: none}
    output: {kind: picture, format: jpg, name_gpus: 1}
  "x; rm -rf": 3
"""


def mistakes(folder: Path) -> list[Mistake]:
    with pytest.raises(CatalogueError) as raised:
        files.load(folder)
    return raised.value.mistakes


def test_all_mistakes_of_all_files_are_reported_at_once_with_file_line_case_and_key(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(BROKEN)
    (tmp_path / "b.yaml").write_text("version: 1\nsource: difusers\ncases: {}\n")
    found = {(m.file, m.line, m.case, m.key) for m in mistakes(tmp_path)}
    assert found == {
        ("a.yaml", 5, "one", "model.revison"),
        ("a.yaml", 6, "one", "needs.gpu"),
        ("a.yaml", 6, "one", "needs.minutes"),
        ("a.yaml", 7, "one", "call.prompt"),
        ("a.yaml", 7, "one", "call.num_inference_steps"),
        ("a.yaml", 7, "one", "call.seed"),
        ("a.yaml", 9, "one", "output.kind"),
        ("a.yaml", 10, "x; rm -rf", ""),
        ("b.yaml", 2, "", "source"),
    }


def test_a_mistake_says_what_was_expected(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(BROKEN)
    said = {(m.case, m.key): m.expected for m in mistakes(tmp_path)}
    assert said["one", "model.revison"] == "unknown key 'revison'; did you mean revision?"
    assert said["one", "call.seed"] == "expected; it is missing"
    assert "expected a GPU kind, or any: no GPU kind is named 'h1000'; did you mean h100" in said["one", "needs.gpu"]
    assert said["one", "output.kind"] == "expected one of 'image', 'video', got 'picture'"


def test_an_unknown_key_without_a_near_match_gets_the_allowed_ones(tmp_path: Path) -> None:
    write_cases(tmp_path, {"one": body(call={"prompt": "p", "num_inference_steps": 1, "seed": 1, "zzz": 1})})
    (mistake,) = mistakes(tmp_path)
    assert "allowed: extra, guidance_scale" in mistake.expected


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    write_cases(tmp_path, {"one": body()})
    file = tmp_path / "diffusers.yaml"
    file.write_text(file.read_text().replace("source: diffusers", "source: diffusers\nsource: diffusers"))
    (mistake,) = mistakes(tmp_path)
    assert (mistake.line, "'source' stands here again" in mistake.expected) == (3, True)


def test_an_id_that_two_files_have_is_refused(tmp_path: Path) -> None:
    write_cases(tmp_path, {"one": body()})
    (tmp_path / "more.yaml").write_text((tmp_path / "diffusers.yaml").read_text())
    (mistake,) = mistakes(tmp_path)
    assert (mistake.file, mistake.line, mistake.case) == ("more.yaml", 4, "one")
    assert "diffusers.yaml has it too" in mistake.expected


@pytest.mark.parametrize("text", ["", "just text", "[1, 2]", "cases: [\n", "\x00", "a: &a [*a]"])
def test_a_file_that_is_no_case_file_is_a_mistake_not_a_crash(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    assert mistakes(tmp_path)


def test_bytes_that_are_no_text_are_a_mistake_not_a_crash(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
    assert mistakes(tmp_path)


def place_pipe(path: Path) -> None:
    os.mkfifo(path)


def place_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def place_dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def place_loop(path: Path) -> None:
    path.symlink_to(path.name)


def place_folder(path: Path) -> None:
    path.mkdir()


def place_empty(path: Path) -> None:
    path.touch()


def place_huge(path: Path) -> None:
    path.touch()
    os.truncate(path, 10 * 2**30)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (place_pipe, "expected a regular file"),
        (place_device, "expected a regular file"),
        (place_folder, "expected a regular file"),
        (place_dangling, "expected a file that can be read (No such file or directory)"),
        (place_loop, "expected a file that can be read (Too many levels of symbolic links)"),
        (place_empty, "expected a file of 1 byte to 16 MiB"),
        (place_huge, "expected a file of 1 byte to 16 MiB"),
    ],
)
def test_what_is_no_file_is_a_mistake_beside_all_others(
    tmp_path: Path, place: Callable[[Path], None], expected: str
) -> None:
    place(tmp_path / "b.yaml")
    (tmp_path / "a.yaml").write_text("version: 1\nsource: difusers\ncases: {}\n")
    assert [(m.file, m.expected) for m in mistakes(tmp_path)][1:] == [("b.yaml", expected)]
    assert len(mistakes(tmp_path)) == 2


def test_a_file_that_nobody_may_read_is_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cases(tmp_path, {"one": body()})
    refused = PermissionError(errno.EACCES, "Permission denied")  # root, as in a container, may read all
    monkeypatch.setattr(Path, "open", Mock(side_effect=refused))
    (mistake,) = mistakes(tmp_path)
    assert mistake.expected == "expected a file that can be read (Permission denied)"


@pytest.mark.parametrize("source", ["diffusers", "sglang"])
def test_a_file_without_cases_is_a_mistake(tmp_path: Path, source: str) -> None:
    write_cases(tmp_path, {}, source, **({"engine": {"repo": "o/r", "command": ["x"]}} if source == "sglang" else {}))
    (mistake,) = mistakes(tmp_path)
    assert (mistake.key, mistake.expected) == ("cases", "expected at least 1 of them")


@pytest.mark.parametrize("names", [("a_t2i", "A_t2i"), ("Flux.1", "flux.1")])
def test_ids_that_differ_by_case_alone_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    one, other = names
    write_cases(tmp_path, {one: body()})
    (tmp_path / "more.yaml").write_text((tmp_path / "diffusers.yaml").read_text().replace(f"{one}:", f"{other}:"))
    (mistake,) = mistakes(tmp_path)
    assert (mistake.file, mistake.line, mistake.case) == ("more.yaml", 4, other)
    assert f"differs by more than case from {one} in diffusers.yaml" in mistake.expected


@pytest.mark.parametrize("text", ["two\nlines", "a\rb", "\x1b[31mred", "\u2028", "a\u202eb", "", " "])
def test_a_reason_is_one_line_that_a_terminal_takes(tmp_path: Path, text: str) -> None:
    write_cases(tmp_path, {"one": body(notes=[text], open={"pipeline": text})}, unavailable={"two": text})
    assert [mistake.key for mistake in mistakes(tmp_path)] == ["notes.0", "open.pipeline", "unavailable.two"]


@pytest.mark.parametrize("name", ["\x1b[31mred", "a\nb\nSigned-off-by: you", "x" * 300, "a\u202eb"])
def test_a_message_is_one_line_without_control_characters_whatever_a_file_holds(tmp_path: Path, name: str) -> None:
    write_cases(tmp_path, {name: body(), "two": body() | {name: 1}})
    for mistake in mistakes(tmp_path):
        assert str(mistake).isprintable()
        assert len(str(mistake)) < 600


@pytest.mark.parametrize("group", ["all", "official", "native", "smoke", "con", "a/b", ".."])
def test_a_group_has_a_name_of_its_own(tmp_path: Path, group: str) -> None:
    write_cases(tmp_path, {"one": body(groups=[group])})
    (mistake,) = mistakes(tmp_path)
    assert mistake.key == "groups.0"


def call(**changes: Any) -> dict[str, Any]:
    return {"prompt": "a cat", "num_inference_steps": 2, "seed": 1, **changes}


@pytest.mark.parametrize("seed", [0, 42, 2**63, 2**64 - 1])
def test_a_seed_is_what_torch_takes(tmp_path: Path, seed: int) -> None:
    assert (
        files.load(write_cases(tmp_path, {"one": body(call=call(seed=seed))})).cases["one"].data()["call"]["seed"]
        == seed
    )


@pytest.mark.parametrize(
    ("seed", "expected"),
    [(-1, "-1 asks for a random seed, which cannot be made again"), (-7, "cannot be made again"), (2**64, "less than")],
)
def test_a_seed_that_cannot_be_made_again_is_refused(tmp_path: Path, seed: int, expected: str) -> None:
    write_cases(tmp_path, {"one": body(call=call(seed=seed))})
    (mistake,) = mistakes(tmp_path)
    assert expected in mistake.expected


def test_a_folder_without_case_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GtError, match="holds no case file"):
        files.load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"output": {"kind": "image", "format": "jpg", "name_gpus": 1}}, "quality, since format is jpg"),
        ({"output": {"kind": "image", "format": "png", "quality": 9, "name_gpus": 1}}, "no quality"),
        ({"inputs": [{"url": "https://x/a.png"}]}, "inputs and conditioning"),
        ({"inputs": [{"sha256": "0" * 64}], "conditioning": "raw"}, "either url or path"),
        ({"model": {"repo": "owner/model", "revision": "main"}}, "match pattern"),
    ],
)
def test_keys_that_contradict_each_other_are_refused(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    write_cases(tmp_path, {"one": body(**changes)})
    assert any(expected in mistake.expected for mistake in mistakes(tmp_path))


def test_what_a_file_says_is_what_a_case_holds_and_nothing_is_filled_in(tmp_path: Path) -> None:
    written = body()
    known = files.load(write_cases(tmp_path, {"one": written}))
    assert known.cases["one"].data() == {"id": "one", "source": "diffusers", **written}


@pytest.mark.parametrize("name", [".#diffusers.yaml", "._diffusers.yaml", ".diffusers.yml"])
def test_a_hidden_file_is_no_case_file(tmp_path: Path, name: str) -> None:
    write_cases(tmp_path, {"one": body()})
    place_dangling(tmp_path / name)
    assert list(files.load(tmp_path).cases) == ["one"]

"""The promise of inputs: what lies on this machine is looked at before anything runs, all of it at once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ci.catalogue import files
from ci.errors import CatalogueError
from tests.conftest import Gt
from tests.support.factory import body, write_cases

PNG = b"\x89PNG\r\n\x1a\n" + b"rest"
GOOD = {"a.png": PNG, "b.jpg": b"\xff\xd8\xff\xe0rest", "c.webp": b"RIFF\x04\0\0\0WEBPrest", "d.txt": PNG}


def mistakes(folder: Path, *paths: str, sha256: str | None = None) -> list[tuple[str, str]]:
    """The key and what was expected, for a case with these inputs."""
    inputs = [{"path": path} | ({} if sha256 is None else {"sha256": sha256}) for path in paths]
    write_cases(folder, {"one": body(inputs=inputs, conditioning="raw")})
    try:
        files.load(folder, with_inputs=True)
    except CatalogueError as error:
        return [(mistake.key, mistake.expected) for mistake in error.mistakes]
    return []


def test_images_of_the_formats_that_are_taken_are_right_whatever_they_are_called(tmp_path: Path) -> None:
    for name, data in GOOD.items():
        (tmp_path / name).write_bytes(data)
    assert mistakes(tmp_path, *GOOD) == []
    assert mistakes(tmp_path, "a.png", sha256=hashlib.sha256(PNG).hexdigest()) == []


def test_a_wrong_sha256_is_told_with_the_right_one(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    digest = hashlib.sha256(PNG).hexdigest()
    assert mistakes(tmp_path, "a.png", sha256="0" * 64) == [
        ("inputs.0.sha256", f"expected {digest}, which is the sha256 of a.png")
    ]


TENSORS = (2).to_bytes(8, "little") + b"{}  "


@pytest.mark.parametrize(
    ("latents", "key", "expected"),
    [
        ({"file": "noise.safetensors", "sha256": "0" * 64}, "latents.sha256", "which is the sha256 of noise.safet"),
        (
            {"file": "none.safetensors", "sha256": "0" * 64},
            "latents.file",
            "a safetensors file; none.safetensors is not",
        ),
        ({"file": "a.png", "sha256": "0" * 64}, "latents.file", "expected a safetensors file; a.png is none"),
        ({"file": "../noise", "sha256": "0" * 64}, "latents.file", "a path below the folder"),
        ({"sha256": "0" * 64}, "latents", "either file or url"),
        ({"file": "noise.safetensors", "url": "https://a/b", "sha256": "0" * 64}, "latents", "either file or url"),
        ({"file": "noise.safetensors"}, "latents.sha256", "it is missing"),
        ({"url": "ftp://a/b", "sha256": "0" * 64}, "latents.url", "http"),
    ],
)
def test_latents_that_are_not_the_file_that_was_meant_are_told(
    latents: dict[str, str], key: str, expected: str, tmp_path: Path
) -> None:
    (tmp_path / "noise.safetensors").write_bytes(TENSORS)
    (tmp_path / "a.png").write_bytes(PNG + bytes(8))
    write_cases(tmp_path, {"one": body(latents=latents)})
    with pytest.raises(CatalogueError) as refused:
        files.load(tmp_path, with_inputs=True)
    [mistake] = refused.value.mistakes
    assert mistake.key == key
    assert expected in mistake.expected


def test_latents_are_taken_by_file_with_their_sha256(tmp_path: Path) -> None:
    (tmp_path / "noise.safetensors").write_bytes(TENSORS)
    latents = {"file": "noise.safetensors", "sha256": hashlib.sha256(TENSORS).hexdigest()}
    write_cases(tmp_path, {"one": body(latents=latents)})
    assert files.load(tmp_path, with_inputs=True).cases["one"].data()["latents"] == latents


def place_link(path: Path) -> None:
    path.symlink_to("other.png")
    path.with_name("other.png").write_bytes(PNG)


def place_sparse(path: Path) -> None:
    path.write_bytes(PNG)
    os.truncate(path, 2**40)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (lambda _: None, "is not in "),
        (Path.mkdir, "is a folder"),
        (os.mkfifo, "is no regular file"),
        (Path.touch, "is empty"),
        (lambda path: path.write_text("text"), "is no PNG, JPEG or WebP"),
        (lambda path: path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0"), "is no PNG, JPEG or WebP"),
        (lambda path: path.write_bytes(b"RIFF\x04\0\0\0WAVEfmt "), "is no PNG, JPEG or WebP"),
        (lambda path: path.write_bytes(b"GIF89a"), "is no PNG, JPEG or WebP"),
        (lambda path: path.symlink_to("nowhere"), "is a link or lies behind one"),
        (lambda path: path.symlink_to("/dev/zero"), "is a link or lies behind one"),
        (place_link, "is a link or lies behind one"),
        (place_sparse, "is larger than 256 MiB"),
    ],
)
def test_what_is_no_image_file_is_refused(tmp_path: Path, place: Callable[[Path], object], expected: str) -> None:
    place(tmp_path / "a.png")
    ((key, text),) = mistakes(tmp_path, "a.png")
    assert key == "inputs.0.path"
    assert f"a.png {expected}" in text


def test_a_file_behind_a_linked_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.png").write_bytes(PNG)
    (tmp_path / "linked").symlink_to("real")
    assert mistakes(tmp_path, "real/a.png") == []
    ((_, text),) = mistakes(tmp_path, "linked/a.png")
    assert "lies behind one" in text


@pytest.mark.parametrize("path", ["../a.png", "/etc/passwd", "a/../../b", "", ".", "a\\b", "a/", "~/a", "C:/a", "a\nb"])
def test_a_path_out_of_the_folder_is_refused_without_a_look_at_it(tmp_path: Path, path: str) -> None:
    ((key, text),) = mistakes(tmp_path, path)
    assert key == "inputs.0.path"
    assert "expected a path below the folder" in text


def test_validate_names_every_input_of_every_file_at_once(tmp_path: Path, gt: Gt) -> None:
    wrong = body(inputs=[{"path": "none.png"}, {"path": "text.png", "sha256": "0" * 64}], conditioning="raw")
    write_cases(tmp_path, {"one": wrong, "two": wrong})
    (tmp_path / "text.png").write_text("text")
    (tmp_path / "other.yaml").write_text("version: 1\nsource: difusers\ncases: {}\n")
    answer = gt("cases", "validate", "--cases", str(tmp_path))
    assert answer.returncode == 2
    assert "5 mistakes" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_nothing_is_made_of_cases_whose_inputs_are_not_there(tmp_path: Path, gt: Gt) -> None:
    write_cases(tmp_path / "cases", {"one": body(inputs=[{"path": "none.png"}], conditioning="raw")})
    answer = gt("generate", "--official", "--cases", str(tmp_path / "cases"), "-o", str(tmp_path / "gt"))
    assert answer.returncode == 2
    assert "one inputs.0.path: expected an image file; none.png is not in" in answer.stderr
    assert not (tmp_path / "gt").exists()

"""The promises of fetching inputs: what was pinned or nothing, downloaded once, never from outside where it may be."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest
import stamina

from gt_runner.contract import Case, FetchedInput
from gt_runner.errors import FetchError, InputError
from gt_runner.fetch import inputs
from gt_runner.fetch.case_files import fetch, identify
from gt_runner.fetch.folders import Folders
from gt_runner.fetch.preflight import obstacles
from gt_runner.tasks import Run
from tests.support.fake_hub import Fault, Server, serving
from tests.support.odd_pictures import ODD
from tests.support.pictures import encoded, scene

IMAGE, OTHER = (encoded(scene(seed), "a.png") for seed in (1, 2))
SHA256 = hashlib.sha256(IMAGE).hexdigest()


@pytest.fixture
def web() -> Iterator[Server]:
    """A web server with an image, and no pauses between tries."""
    server = Server()
    server.files = {"/a/cat.png": IMAGE, "/b/same.jpg": IMAGE, "/other.png": OTHER}
    with serving(server), stamina.set_testing(True, attempts=3, cap=True):
        yield server


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(cache=tmp_path / "cache", local=None)


def get(folders: Folders, *wanted: dict[str, Any], base: Path = Path()) -> list[FetchedInput]:
    case = {"id": "a", "source": "smoke", "model": {"tiny": "FluxPipeline"}, "inputs": list(wanted), "base": str(base)}
    return identify(cast("Case", case), folders)["inputs"]


def kept(folders: Folders) -> list[str]:
    """The names of the files in the cache that anything could take for an input."""
    return sorted(path.name for path in (folders.cache / "inputs").iterdir() if path.is_file())


# downloads


def test_an_input_is_kept_under_the_sha256_of_its_content(web: Server, folders: Folders) -> None:
    (found,) = get(folders, {"url": f"{web.url}/a/cat.png"})
    assert found == {"path": str(folders.cache / "inputs" / f"{SHA256}.png"), "sha256": SHA256, "bytes": len(IMAGE)}
    assert Path(found["path"]).read_bytes() == IMAGE


def test_inputs_come_in_the_order_of_the_case(web: Server, folders: Folders, tmp_path: Path) -> None:
    (tmp_path / "own.png").write_bytes(own := encoded(scene(3), "own.png"))
    wanted: list[dict[str, Any]] = [
        {"url": f"{web.url}/other.png"},
        {"path": "own.png"},
        {"url": f"{web.url}/a/cat.png"},
    ]
    found = get(folders, *wanted, base=tmp_path)
    assert [Path(one["path"]).read_bytes() for one in found] == [OTHER, own, IMAGE]


def test_an_unpinned_url_is_downloaded_once(web: Server, folders: Folders) -> None:
    first = get(folders, {"url": f"{web.url}/a/cat.png"})
    web.files["/a/cat.png"] = b"changed since"
    assert get(folders, {"url": f"{web.url}/a/cat.png"}) == first
    assert len(web.log) == 1


def test_a_pinned_input_in_the_cache_needs_no_network_whatever_its_url(web: Server, folders: Folders) -> None:
    get(folders, {"url": f"{web.url}/a/cat.png"})
    web.stop()
    (found,) = get(folders, {"url": f"{web.url}/moved/cat.jpeg", "sha256": SHA256})
    assert found["sha256"] == SHA256


def test_an_input_that_is_not_what_was_pinned_is_refused(web: Server, folders: Folders) -> None:
    pin = "0" * 64
    with pytest.raises(FetchError, match=rf"cat\.png is not what was pinned: expected sha256 {pin}, found {SHA256}"):
        get(folders, {"url": f"{web.url}/a/cat.png", "sha256": pin})
    assert kept(folders) == []
    assert len(web.log) == 1  # the right answer to a wrong file is not to ask again


def test_an_input_that_was_damaged_in_the_cache_is_fetched_again(web: Server, folders: Folders) -> None:
    (first,) = get(folders, {"url": f"{web.url}/a/cat.png", "sha256": SHA256})
    Path(first["path"]).write_bytes(b"damaged")
    assert get(folders, {"url": f"{web.url}/a/cat.png", "sha256": SHA256}) == [first]
    assert Path(first["path"]).read_bytes() == IMAGE


@pytest.mark.parametrize("unsized", [False, True], ids=["told", "found out"])
def test_a_file_that_is_too_large_is_refused(
    web: Server, folders: Folders, monkeypatch: pytest.MonkeyPatch, unsized: bool
) -> None:
    monkeypatch.setattr(inputs, "MAX_BYTES", 1000)
    web.plant(Fault("/a/cat.png", 1, unsized=unsized))
    with pytest.raises(FetchError, match=r"cat\.png is larger than 1000 bytes; no input is: check the url"):
        get(folders, {"url": f"{web.url}/a/cat.png"})
    assert kept(folders) == []
    assert not list(folders.cache.rglob("*.partial"))


@pytest.mark.parametrize(
    "fault",
    [Fault("", 2, status=503), Fault("", 2, status=429), Fault("", 2, cut_after=1000)],
    ids=["503", "429", "cut off"],
)
def test_what_may_pass_is_tried_again(web: Server, folders: Folders, fault: Fault) -> None:
    web.plant(Fault(**vars(fault)))
    (found,) = get(folders, {"url": f"{web.url}/a/cat.png"})
    assert found["sha256"] == SHA256
    assert len(web.log) == 3


@pytest.mark.parametrize("fault", [Fault("", 99, status=503), Fault("", 99, cut_after=1000)], ids=["503", "cut off"])
def test_what_does_not_pass_is_named(web: Server, folders: Folders, fault: Fault) -> None:
    web.plant(Fault(**vars(fault)))
    with pytest.raises(
        FetchError, match=r"/a/cat\.png: .* \(tried again several times\); try later, or put the file into"
    ):
        get(folders, {"url": f"{web.url}/a/cat.png"})
    assert len(web.log) == 3
    assert kept(folders) == []


@pytest.mark.parametrize(
    ("place", "why"), [("/dev/full", "No space left on device"), ("/nowhere/file", "No such file or directory")]
)
def test_a_folder_that_cannot_take_an_input_is_not_said_to_be_a_wrong_url(
    web: Server, folders: Folders, place: str, why: str
) -> None:
    url = f"{web.url}/a/cat.png"
    urls = folders.cache / "inputs" / "urls"
    urls.mkdir(parents=True)
    (urls / f"{hashlib.sha256(url.encode()).hexdigest()}.partial").symlink_to(place)  # where the download is written
    with pytest.raises(FetchError, match=rf"\({why}\); check the room and the rights of the cache"):
        get(folders, {"url": url})
    assert len(web.log) == 1


def test_a_wrong_url_is_named_at_once(web: Server, folders: Folders) -> None:
    with pytest.raises(FetchError, match=r"/typo\.png: the server answered 404 Not Found; check the case's url"):
        get(folders, {"url": f"{web.url}/typo.png"})
    assert len(web.log) == 1


def test_a_server_that_names_a_pause_is_given_it(web: Server, folders: Folders) -> None:
    web.plant(Fault("", 1, status=429, headers={"Retry-After": "1"}))
    before = time.monotonic()
    with stamina.set_testing(False):
        get(folders, {"url": f"{web.url}/a/cat.png"})
    assert 1 <= time.monotonic() - before < 3


def test_passwords_and_signatures_are_not_in_messages(web: Server, folders: Folders) -> None:
    address = web.url.replace("http://", "http://user:pass@")
    with pytest.raises(FetchError) as caught:
        get(folders, {"url": f"{address}/typo.png?signature=secret"})
    assert "pass" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_two_at_once_download_once(web: Server, folders: Folders) -> None:
    web.plant(Fault("", 1, delay_s=0.1))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: get(folders, {"url": f"{web.url}/a/cat.png"}), range(4)))
    assert all(one == found[0] for one in found)
    assert len(web.log) == 1


def test_what_a_killed_process_left_is_written_over(web: Server, folders: Folders) -> None:
    get(folders, {"url": f"{web.url}/a/cat.png"})
    (record,) = folders.cache.rglob("*.sha256")
    record.with_suffix(".partial").write_bytes(IMAGE * 2)
    record.unlink()
    assert get(folders, {"url": f"{web.url}/a/cat.png"})[0]["sha256"] == SHA256
    assert not list(folders.cache.rglob("*.partial"))


def test_progress_is_told(web: Server, folders: Folders, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    case = {
        "id": "a",
        "source": "smoke",
        "model": {"tiny": "x"},
        "inputs": [{"url": f"{web.url}/a/cat.png"}],
        "base": ".",
    }
    fetch(cast("Case", case), folders, lambda *call: told.append(call))
    assert told[-1] == (f"{web.url.rsplit(':', 1)[0]}/a/cat.png", len(IMAGE), len(IMAGE))


# addresses and paths


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/a.png", "/etc/passwd", "http:///a.png"])
def test_only_http_and_https_are_addresses(folders: Folders, url: str) -> None:
    with pytest.raises(FetchError, match="is no http or https address; give a file on this machine as `path`"):
        get(folders, {"url": url})


def test_a_path_starts_from_the_folder_of_the_case_file(folders: Folders, tmp_path: Path) -> None:
    (tmp_path / "cases" / "images").mkdir(parents=True)
    (tmp_path / "cases" / "images" / "a.png").write_bytes(IMAGE)
    (found,) = get(folders, {"path": "images/a.png", "sha256": SHA256}, base=tmp_path / "cases")
    assert found == {"path": str(tmp_path / "cases/images/a.png"), "sha256": SHA256, "bytes": len(IMAGE)}


@pytest.mark.parametrize("path", ["../secret", "images/../../secret", "{root}/secret", "link"])
def test_a_path_cannot_leave_the_folder_of_the_case_file(folders: Folders, tmp_path: Path, path: str) -> None:
    (tmp_path / "cases").mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "cases" / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(FetchError, match="is outside of the case file's folder; copy it into that folder"):
        get(folders, {"path": path.format(root=tmp_path)}, base=tmp_path / "cases")


def test_a_path_where_nothing_is_or_something_else_is_refused(folders: Folders, tmp_path: Path) -> None:
    with pytest.raises(
        FetchError, match=r"input a\.png is not in the case file's folder; paths start from that folder"
    ):
        get(folders, {"path": "a.png"}, base=tmp_path)
    (tmp_path / "a.png").write_bytes(OTHER)
    with pytest.raises(FetchError, match=rf"a\.png is not what was pinned: expected sha256 {SHA256}, found "):
        get(folders, {"path": "a.png", "sha256": SHA256}, base=tmp_path)


def test_what_is_no_image_is_refused_and_not_kept(web: Server, folders: Folders) -> None:
    web.files["/a/cat.png"] = b"<html>busy, come back later</html>"
    with pytest.raises(InputError, match=r"input http://.*/a/cat\.png is no image that is taken: unreadable"):
        get(folders, {"url": f"{web.url}/a/cat.png"})
    assert kept(folders) == []
    web.files["/a/cat.png"] = IMAGE
    assert get(folders, {"url": f"{web.url}/a/cat.png"})[0]["sha256"] == SHA256


def truncated(path: Path) -> None:
    path.write_bytes(IMAGE[:-20])


WRONG: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (lambda _: None, "is not in the case file's folder"),
    "a folder": (Path.mkdir, "is not in the case file's folder"),
    "a pipe": (os.mkfifo, "is not in the case file's folder"),
    "empty": (Path.touch, "is no image that is taken: unreadable: it is no JPEG, PNG or WebP image"),
    "text": (lambda path: path.write_text("a cat"), "is no image that is taken: unreadable"),
    "truncated": (truncated, "is no image that is taken: truncated"),
    "another image": (lambda path: path.write_bytes(OTHER), "is not what was pinned"),
    "a link": (lambda path: path.symlink_to(path.parent / "good.png"), "is a link or lies behind one"),
    "a link to nothing": (lambda path: path.symlink_to("nothing"), "is not in the case file's folder"),
    "a link to itself": (lambda path: path.symlink_to(path), "input .* (leads nowhere|is not in)"),
}


@pytest.mark.parametrize("what", WRONG)
def test_an_input_that_is_not_the_image_that_was_meant_is_refused(folders: Folders, tmp_path: Path, what: str) -> None:
    make, words = WRONG[what]
    (tmp_path / "good.png").write_bytes(IMAGE)
    make(tmp_path / "a.png")
    with pytest.raises(InputError, match=words):
        get(folders, {"path": "a.png", "sha256": SHA256 if what == "another image" else None}, base=tmp_path)


def test_all_wrong_inputs_of_all_cases_are_told_before_anything_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("a cat")
    (tmp_path / "other.png").write_bytes(OTHER)
    wanted = [[{"path": "text.png"}, {"path": "../a.png"}], [{"path": "other.png", "sha256": SHA256}], [{"path": "/b"}]]
    cases = [
        {"id": f"case_{number}", "source": "smoke", "model": {"tiny": "x"}, "inputs": inputs, "base": str(tmp_path)}
        for number, inputs in enumerate(wanted)
    ]
    folders = {"store": str(tmp_path / "store"), "cache": str(tmp_path / "cache"), "models": None}
    run = {"jobs": [{"name": "job", "device": "cpu", "cases": cases}], "fresh": True, **folders}
    found = obstacles(cast("Run", run))
    assert len(found) == 4
    for name in ("text.png", "../a.png", "other.png", "/b"):
        assert any(name in line for line in found), found


@pytest.mark.parametrize("name", ODD)
def test_what_is_normalised_of_an_input_is_recorded(folders: Folders, tmp_path: Path, name: str) -> None:
    file, data, words = ODD[name]
    (tmp_path / file).write_bytes(data)
    (tmp_path / "plain.png").write_bytes(IMAGE)
    odd, plain = get(folders, {"path": file}, {"path": "plain.png"}, base=tmp_path)
    assert words in ", ".join(odd["normalised"])
    assert "normalised" not in plain


def test_a_file_in_the_models_folder_stands_in_for_a_download(web: Server, folders: Folders, tmp_path: Path) -> None:
    (tmp_path / "models" / "inputs").mkdir(parents=True)
    (tmp_path / "models" / "inputs" / "cat.png").write_bytes(IMAGE)
    local = Folders(folders.cache, tmp_path / "models")
    (found,) = get(local, {"url": f"{web.url}/a/cat.png?x=1", "sha256": SHA256})
    assert found["path"] == str(tmp_path / "models" / "inputs" / "cat.png")
    with pytest.raises(FetchError, match=r"inputs/cat\.png in the --models folder is not what was pinned"):
        get(local, {"url": f"{web.url}/a/cat.png", "sha256": "0" * 64})
    assert web.log == []


def tensors(*names: str) -> bytes:
    """A safetensors file that holds these, as far as its header says."""
    header = json.dumps({"__metadata__": {}, **{name: {"dtype": "F32"} for name in names}}).encode()
    return len(header).to_bytes(8, "little") + header


def latents_of(folders: Folders, base: Path, data: bytes, **place: str) -> FetchedInput:
    named = {**place, "sha256": hashlib.sha256(data).hexdigest()}
    case = {"id": "a", "source": "smoke", "model": {"tiny": "FluxPipeline"}, "latents": named, "base": str(base)}
    return identify(cast("Case", case), folders)["latents"]


def test_latents_come_from_a_file_or_a_url_and_are_what_was_pinned(
    web: Server, folders: Folders, tmp_path: Path
) -> None:
    data = tensors("latents.0", "decoded")
    web.files["/noise.safetensors"] = data
    (tmp_path / "noise.safetensors").write_bytes(data)
    near = latents_of(folders, tmp_path, data, file="noise.safetensors")
    far = latents_of(folders, tmp_path, data, url=f"{web.url}/noise.safetensors")
    assert near["path"] == str(tmp_path / "noise.safetensors")
    assert Path(far["path"]).read_bytes() == data
    assert near["sha256"] == far["sha256"]
    with pytest.raises(InputError, match="is not what was pinned"):
        latents_of(folders, tmp_path, b"another", file="noise.safetensors")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (tensors("decoded"), "holds no latents.0 and no noise, but decoded"),
        (tensors(), "but nothing"),
        (IMAGE, "is no safetensors file; gt trace --stages latents.0 writes one"),
        (b"", "is no safetensors file"),
        (b"\xff" * 20, "is no safetensors file"),
        ((3).to_bytes(8, "little") + b"[1]", "is no safetensors file"),
        ((1).to_bytes(8, "little") + b"3", "is no safetensors file"),
    ],
)
def test_what_holds_no_first_noise_is_refused(data: bytes, message: str, folders: Folders, tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(data)
    with pytest.raises(InputError, match=re.escape(message)):
        latents_of(folders, tmp_path, data, file="noise")

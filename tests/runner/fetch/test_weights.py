"""The promises of fetching weights: the right bytes or a clear refusal, hashed once, no network without need."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import huggingface_hub
import pytest
import stamina
from huggingface_hub import constants
from huggingface_hub.utils import filter_repo_objects  # type: ignore[attr-defined]  # re-exported without saying so
from hypothesis import given
from hypothesis import strategies as st

from ci import RUNNER
from gt_runner.contract import Case, Fetched, FetchedRepository
from gt_runner.errors import FetchError
from gt_runner.fetch import index, local_models, weights
from gt_runner.fetch.case_files import fetch, identify
from gt_runner.fetch.folders import Folders
from gt_runner.fetch.read_ahead import half_of_memory, read_ahead, size_of
from tests.support.fake_hub import FILES, MODEL, FakeHub, Fault

SIZE = sum(len(body) for body in FILES.values())
LARGE = "transformer/a.safetensors"


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(cache=tmp_path / "cache", local=None)


def case(*, revision: str | None = None, files: list[str] | None = None, repo: str = MODEL, **more: Any) -> Case:
    model = {"repo": repo, "revision": revision} | ({} if files is None else {"files": files})
    return cast("Case", {"id": "a", "source": "diffusers", "model": model, "base": ".", **more})


def get(wanted: Case, folders: Folders) -> FetchedRepository:
    return fetch(wanted, folders, quiet)["repositories"][wanted["model"]["repo"]]


def quiet(_what: str, _done: int, _total: int) -> None:
    pass


def content(folder: str) -> dict[str, bytes]:
    root = Path(folder)
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def digest_by_hand(files: dict[str, bytes]) -> str:
    lines = (f"{name}\0{len(body)}\0{hashlib.sha256(body).hexdigest()}\n" for name, body in sorted(files.items()))
    return f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"


def final_files(cache: str) -> list[Path]:
    return [p for p in Path(cache).glob("models--*/blobs/*") if not p.name.endswith(".incomplete")]


class Hashing:
    """Counts the files that are hashed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        counting = self._counting(index.sha256_of)
        for module in (index, local_models):
            monkeypatch.setattr(module, "sha256_of", counting)

    def _counting(self, real: Callable[..., str]) -> Callable[..., str]:
        def counted(path: Path, *rest: Any) -> str:
            self.names.append(path.name)
            return real(path, *rest)

        return counted


# what is fetched


def test_a_model_is_fetched_whole_and_described(fake: FakeHub, folders: Folders) -> None:
    told: list[tuple[str, int, int]] = []
    found = fetch(case(), folders, lambda *call: told.append(call))["repositories"][MODEL]
    assert content(found["path"]) == FILES
    assert found["commit"] == fake.repos[MODEL].main
    assert found["identity"] == f"commit:{fake.repos[MODEL].main}"
    assert found["digest"] == digest_by_hand(FILES)
    assert found["bytes"] == SIZE
    assert (MODEL, SIZE, SIZE) in told
    assert (f"{MODEL}: sha256", SIZE, SIZE) in told
    assert all(done <= total for _, done, total in told)


def test_only_the_files_that_a_case_asks_for_are_fetched(fake: FakeHub, folders: Folders) -> None:
    found = get(case(files=["*.json", "vae/"]), folders)
    asked = {name: body for name, body in FILES.items() if name != LARGE}
    assert content(found["path"]) == asked
    assert found["digest"] == digest_by_hand(asked)
    assert not fake.asked("GET", LARGE)


def test_a_second_case_fetches_only_what_the_first_did_not(fake: FakeHub, folders: Folders) -> None:
    get(case(files=["vae/*"]), folders)
    assert get(case(), folders)["digest"] == digest_by_hand(FILES)
    assert len(fake.asked("GET", "vae/")) == 1


def test_identify_downloads_no_weights(fake: FakeHub, folders: Folders) -> None:
    found = identify(case(), folders)["repositories"][MODEL]
    assert found["identity"] == f"commit:{fake.repos[MODEL].main}"
    assert (found["path"], found["bytes"]) == ("", 0)
    assert not fake.asked(path="/resolve/")


def test_the_commit_that_was_identified_is_fetched_though_main_moves(fake: FakeHub, folders: Folders) -> None:
    identified = identify(case(), folders)
    first = fake.repos[MODEL].main
    fake.push(MODEL, {"model_index.json": b"newer"})
    found = fetch(case(), folders, quiet, identified)["repositories"][MODEL]
    assert found["commit"] == first
    assert content(found["path"]) == FILES


def test_a_text_encoder_from_the_models_own_repository_adds_its_files(fake: FakeHub, folders: Folders) -> None:
    encoder = {"repo": MODEL, "files": ["vae/*"]}
    found = get(case(files=["transformer/*"], text_encoder=encoder), folders)
    assert set(content(found["path"])) == {name for name in FILES if "/" in name}


def test_of_a_repository_of_loras_only_the_one_that_is_loaded_is_fetched(fake: FakeHub, folders: Folders) -> None:
    fake.push("owner/loras", {"one.safetensors": b"1" * 2000, "two.safetensors": b"2" * 2000})
    found = fetch(case(loras=[{"repo": "owner/loras", "file": "two.safetensors"}]), folders, quiet)
    assert set(content(found["repositories"]["owner/loras"]["path"])) == {"two.safetensors"}


def test_one_repository_at_two_revisions_is_refused(fake: FakeHub, folders: Folders) -> None:
    pinned = {"repo": MODEL, "revision": fake.repos[MODEL].main}
    with pytest.raises(FetchError, match=r"owner/model is named at two revisions; give it the same one"):
        fetch(case(text_encoder=pinned), folders, quiet)


def test_a_file_that_the_repository_does_not_have_is_named(fake: FakeHub, folders: Folders) -> None:
    with pytest.raises(FetchError, match=r"owner/model has no two\.safetensors; check the case's `files`"):
        get(case(files=["vae/*", "two.safetensors"]), folders)
    with pytest.raises(FetchError, match=r"nothing that matches \*\.pth"):
        get(case(files=["*.pth"]), folders)


@given(
    names=st.lists(st.from_regex(r"[ab]{1,2}(/[ab.]{1,3})?", fullmatch=True), max_size=6),
    patterns=st.none() | st.lists(st.from_regex(r"[ab*?]{1,2}(/[ab*]{0,3})?", fullmatch=True), max_size=3),
)
def test_patterns_mean_what_they_mean_to_huggingface_hub(names: list[str], patterns: list[str] | None) -> None:
    assert index.matching(names, patterns) == list(filter_repo_objects(names, allow_patterns=patterns))


# no network where none is needed


def test_a_pinned_model_needs_no_network_the_second_time(fake: FakeHub, folders: Folders) -> None:
    pinned = case(revision=fake.repos[MODEL].main)
    first = get(pinned, folders)
    fake.stop()
    fake.log.clear()
    assert get(pinned, folders) == first
    assert fake.log == []


def test_an_unpinned_model_is_taken_from_the_cache_when_the_hub_is_gone(
    fake: FakeHub, folders: Folders, caplog: pytest.LogCaptureFixture
) -> None:
    first = get(case(), folders)
    fake.stop()
    assert get(case(), folders) == first
    assert "taking the commit of main that was fetched last" in caplog.text


def test_without_the_hub_a_commit_that_is_whole_serves_better_than_a_newer_name(
    fake: FakeHub, folders: Folders
) -> None:
    first = get(case(), folders)
    fake.push(MODEL, {"model_index.json": b"newer"})
    identify(case(), folders)
    fake.stop()
    assert get(case(), folders) == first


def test_without_hub_and_cache_the_model_is_named(fake: FakeHub, folders: Folders) -> None:
    fake.stop()
    with pytest.raises(FetchError, match=r"owner/model: .*tried again several times\); try later, or use --models"):
        get(case(), folders)


def test_the_offline_switch_of_huggingface_hub_is_explained(
    fake: FakeHub, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(FetchError, match=r"owner/model at main is not all in the cache; unset HF_HUB_OFFLINE"):
        get(case(), folders)
    assert fake.log == []


def test_with_the_offline_switch_the_cache_is_used_without_a_pause(
    fake: FakeHub, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = get(case(), folders)
    fake.log.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    before = time.monotonic()
    with stamina.set_testing(False):
        assert get(case(), folders) == first
    assert time.monotonic() - before < 1
    assert fake.log == []


# verified


def test_weights_are_hashed_once(fake: FakeHub, folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    hashing = Hashing(monkeypatch)
    first = get(case(), folders)
    assert len(hashing.names) == len(FILES)
    assert get(case(), folders) == first
    assert len(hashing.names) == len(FILES)


def test_weights_that_another_tool_downloaded_are_verified_and_not_fetched_again(
    fake: FakeHub, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    huggingface_hub.hf_hub_download(MODEL, LARGE, revision=fake.repos[MODEL].main)
    hashing = Hashing(monkeypatch)
    get(case(), folders)
    assert len(fake.asked("GET", LARGE)) == 1
    assert len(hashing.names) == len(FILES)


def _shrink(path: Path) -> None:
    os.truncate(path, 10)


@pytest.mark.parametrize("damage", [_shrink, Path.unlink], ids=["shrank", "went missing"])
def test_a_file_that_shrank_in_the_cache_is_fetched_again(
    fake: FakeHub, folders: Folders, damage: Callable[[Path], None]
) -> None:
    first = get(case(), folders)
    damage((Path(first["path"]) / LARGE).resolve())
    assert get(case(), folders) == first
    assert content(first["path"]) == FILES
    assert len(fake.asked("GET", LARGE)) == 2
    assert len(fake.asked("GET", "vae/b")) == 1


@pytest.mark.parametrize("name", [LARGE, "transformer/config.json"], ids=["lfs", "git"])
def test_content_that_is_not_what_the_hub_lists_is_fetched_again(fake: FakeHub, folders: Folders, name: str) -> None:
    fake.plant(Fault(name, 1, "GET", body=b"x" * len(FILES[name])))
    assert content(get(case(), folders)["path"]) == FILES
    assert len(fake.asked("GET", name)) == 2


@pytest.mark.parametrize("name", [LARGE, "transformer/config.json"], ids=["lfs", "git"])
def test_content_that_stays_wrong_is_named_and_not_kept(fake: FakeHub, folders: Folders, name: str) -> None:
    fake.plant(Fault(name, 99, "GET", body=b"x" * len(FILES[name])))
    with pytest.raises(FetchError, match=rf"owner/model: {name} .*the hub lists.*also when fetched again"):
        get(case(), folders)
    kept = [path.read_bytes() for path in final_files(constants.HF_HUB_CACHE)]
    assert b"x" * len(FILES[name]) not in kept


def test_a_damaged_index_costs_a_hash_and_nothing_else(
    fake: FakeHub, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = get(case(), folders)
    (kept,) = Path(constants.HF_HUB_CACHE).glob("models--owner--model/diffusion-gt/*.json")
    kept.write_text(kept.read_text()[:100])
    hashing = Hashing(monkeypatch)
    assert get(case(), folders) == first
    assert len(hashing.names) == len(FILES)
    assert len(fake.asked("GET", "/resolve/")) == len(FILES)


# what goes wrong on the way


def test_a_download_cut_off_is_resumed_and_named_if_it_stays_broken(fake: FakeHub, folders: Folders) -> None:
    fake.plant(Fault(LARGE, 1, "GET", cut_after=150_000))
    assert content(get(case(), folders)["path"]) == FILES
    first, second = [headers for method, path, headers in fake.log if method == "GET" and LARGE in path]
    assert "range" not in first
    assert second["range"] == f"bytes={2 * (1 << 16)}-"

    fake.push(MODEL, FILES | {LARGE: b"other" * 60_000})
    fake.plant(Fault(LARGE, 9999, "GET", cut_after=0))
    with pytest.raises(FetchError, match=r"owner/model: .*tried again several times\); try later"):
        get(case(), folders)


@pytest.mark.parametrize("path", ["/api/models/", "/resolve/"], ids=["listing", "file"])
@pytest.mark.parametrize(("status", "headers"), [(503, {}), (429, {"Retry-After": "1"})], ids=["503", "429"])
def test_a_busy_hub_is_asked_again(
    fake: FakeHub, folders: Folders, path: str, status: int, headers: dict[str, str]
) -> None:
    fake.plant(Fault(path, 2, status=status, headers=headers))
    assert content(get(case(), folders)["path"]) == FILES


def test_a_hub_that_stays_down_is_named_after_the_last_try(fake: FakeHub, folders: Folders) -> None:
    fake.plant(Fault("/api/models/", 99, status=503))
    with pytest.raises(FetchError, match=r"owner/model: the server answered 503 Service Unavailable \(tried again"):
        get(case(), folders)
    assert len(fake.asked()) == 3


def test_the_hubs_own_rate_limit_is_waited_for(fake: FakeHub, folders: Folders) -> None:
    fake.plant(Fault("/api/models/", 1, status=429, headers={"RateLimit": '"api";r=0;t=1'}))
    before = time.monotonic()
    with stamina.set_testing(False):
        identify(case(), folders)
    assert 2 <= time.monotonic() - before < 4


@pytest.mark.parametrize("headers", [{"Retry-After": "86400"}, {"RateLimit": '"api";r=0;t=86400'}])
def test_a_wait_that_the_server_asks_for_has_its_limit(
    fake: FakeHub, folders: Folders, headers: dict[str, str]
) -> None:
    fake.plant(Fault("/api/models/", 99, status=429, headers=headers))
    with pytest.raises(FetchError, match="429"):
        identify(case(), folders)
    assert len(fake.asked()) == 1


@pytest.mark.parametrize(
    ("gated", "token", "message"),
    [
        (
            True,
            None,
            r"owner/model is gated: accept its licence at http://.*/owner/model and set HF_TOKEN to a token of",
        ),
        (True, "wrong", r"owner/model is gated: accept its licence at .*: the present one has no access"),
        (False, None, r"owner/model is not there or is private: check the name, or set HF_TOKEN"),
        (False, "wrong", r"owner/model is not there, or HF_TOKEN may not read it"),
    ],
)
def test_a_model_that_is_closed_to_the_user_is_named_with_what_to_do(
    fake: FakeHub, folders: Folders, monkeypatch: pytest.MonkeyPatch, gated: bool, token: str | None, message: str
) -> None:
    fake.repos[MODEL].gated, fake.repos[MODEL].token = gated, "right"
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(FetchError, match=message) as caught:
        get(case(), folders)
    assert "wrong" not in str(caught.value)  # a token is a secret


def test_all_closed_models_are_named_at_once_and_before_the_first_byte(fake: FakeHub, folders: Folders) -> None:
    for name in ("owner/one", "owner/two"):
        fake.push(name, FILES)
        fake.repos[name].gated, fake.repos[name].token = True, "right"
    with pytest.raises(FetchError, match=r"owner/one is gated(.|\n)*owner/two is gated"):
        fetch(case(text_encoder={"repo": "owner/one"}, loras=[{"repo": "owner/two"}]), folders, quiet)
    assert not fake.asked("GET", "/resolve/")


def test_the_token_comes_from_the_environment_alone(
    fake: FakeHub, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.repos[MODEL].gated, fake.repos[MODEL].token = True, "right"
    Path(constants.HF_TOKEN_PATH).parent.mkdir(parents=True)
    Path(constants.HF_TOKEN_PATH).write_text("right")
    with pytest.raises(FetchError, match="is gated"):
        get(case(), folders)
    assert not any("authorization" in headers for _, _, headers in fake.log)
    monkeypatch.setenv("HF_TOKEN", "right\n")
    assert content(get(case(), folders)["path"]) == FILES


def test_an_unknown_revision_is_named(fake: FakeHub, folders: Folders) -> None:
    with pytest.raises(FetchError, match=rf"owner/model has no revision {'0' * 40}; check the case's `revision`"):
        get(case(revision="0" * 40), folders)


def test_a_disk_that_is_too_small_is_found_before_the_first_byte(
    fake: FakeHub, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=100_000))
    with pytest.raises(FetchError, match=r"owner/model: 0\.0 GB are to be downloaded .*or set HF_HOME"):
        get(case(), folders)
    assert not fake.asked("GET", "/resolve/")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO], ids=errno.errorcode.get)
def test_a_folder_that_cannot_take_weights_is_not_said_to_be_the_networks_fault(
    fake: FakeHub, folders: Folders, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def written(*_: object, **__: object) -> str:
        tries.append(number)
        raise OSError(number, os.strerror(number), "/somewhere")

    monkeypatch.setattr("gt_runner.fetch.hub.hf_hub_download", written)
    with pytest.raises(FetchError, match=rf"^owner/model: {os.strerror(number)}; set HF_HOME to a folder that can"):
        get(case(files=[LARGE]), folders)
    assert len(tries) == 1


def test_an_error_in_one_file_stops_the_others(fake: FakeHub, folders: Folders) -> None:
    fake.plant(Fault(LARGE, 1, "GET", delay_s=0.5, block=20_000))  # 7 s
    fake.plant(Fault("vae/b", 99, "GET", status=404, headers={"X-Error-Code": "EntryNotFound"}))
    before = time.monotonic()
    with pytest.raises(FetchError, match="404"):
        get(case(), folders)
    assert time.monotonic() - before < 4
    assert not list(Path(constants.HF_HUB_CACHE).rglob("*.incomplete"))


# several processes, and killed ones

CHILD = """
import json, sys
from pathlib import Path
from huggingface_hub import constants
from gt_runner.fetch.case_files import fetch
from gt_runner.fetch.folders import Folders
from gt_runner.supervise.stopping import interruptible

interruptible()
constants.DOWNLOAD_CHUNK_SIZE = 1 << 14
case = {"id": "a", "source": "diffusers", "model": {"repo": "owner/model"}, "base": "."}
found = fetch(case, Folders(Path(sys.argv[1])), lambda *_: None)
print(json.dumps(found["repositories"]["owner/model"]))
"""


def start_child(fake: FakeHub, folders: Folders, home: Path) -> subprocess.Popen[str]:
    """A process of its own, so with what huggingface_hub itself reads from the environment: a mirror, a cache."""
    settings = {"HF_ENDPOINT": fake.url, "HF_HOME": str(home), "PYTHONPATH": str(Path(index.__file__).parents[2])}
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folders.cache)],
        env={key: value for key, value in os.environ.items() if not key.startswith("HF_")} | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_share_one_download_and_one_index(fake: FakeHub, folders: Folders, tmp_path: Path) -> None:
    fake.plant(Fault(LARGE, 1, "GET", delay_s=0.2))
    children = [start_child(fake, folders, tmp_path / "home") for _ in range(2)]
    outputs = [child.communicate(timeout=60)[0] for child in children]
    assert [child.returncode for child in children] == [0, 0]
    first, second = (json.loads(output) for output in outputs)
    assert first == second
    assert first["digest"] == digest_by_hand(FILES)
    assert len(fake.asked("GET", "/resolve/")) == len(FILES)


def test_a_kill_leaves_no_partial_file_under_a_final_name(fake: FakeHub, folders: Folders, tmp_path: Path) -> None:
    cache = tmp_path / "home" / "hub"
    fake.plant(Fault(LARGE, 1, "GET", delay_s=5, block=100_000))
    child = start_child(fake, folders, tmp_path / "home")
    while not fake.asked("GET", LARGE):
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=10)
    assert all(path.read_bytes() in FILES.values() for path in final_files(str(cache)))
    left = list(cache.glob("models--*/blobs/*.incomplete"))
    assert left
    for path in left:
        os.utime(path, (0, 0))
    again = start_child(fake, folders, tmp_path / "home")
    found = json.loads(again.communicate(timeout=60)[0])
    assert content(found["path"]) == FILES
    assert not any(path.exists() for path in left)


def test_ctrl_c_ends_a_download_within_moments(fake: FakeHub, folders: Folders, tmp_path: Path) -> None:
    fake.plant(Fault(LARGE, 1, "GET", delay_s=0.4, block=1 << 14))  # 7 s
    child = start_child(fake, folders, tmp_path / "home")
    while not fake.asked("GET", LARGE):
        time.sleep(0.05)
    time.sleep(0.5)
    before = time.monotonic()
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=10)
    assert time.monotonic() - before < 3
    assert child.returncode != 0
    assert not list((tmp_path / "home").rglob("*.incomplete"))


# local folders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A local folder that stands in for the model, with things beside the weights that are not part of it."""
    folder = tmp_path / "models" / MODEL
    for name, body in {**FILES, ".git/config": b"git", ".cache/x": b"x"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(body)
    return folder


@pytest.fixture
def with_local(folders: Folders, tmp_path: Path) -> Folders:
    return Folders(folders.cache, tmp_path / "models")


def test_a_local_folder_stands_in_and_is_identified_by_its_content(
    fake: FakeHub, folder: Path, with_local: Folders
) -> None:
    found = get(case(), with_local)
    assert found["path"] == str(folder)
    assert found["commit"] is None
    assert found["identity"] == found["digest"] == digest_by_hand(FILES)
    assert found["bytes"] == SIZE
    assert identify(case(), with_local)["repositories"][MODEL] == found
    assert fake.log == []


def test_a_local_file_is_hashed_once_per_name_size_and_time(
    fake: FakeHub, folder: Path, with_local: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashing = Hashing(monkeypatch)
    first = get(case(), with_local)
    assert sorted(hashing.names) == sorted(Path(name).name for name in FILES)
    hashing.names.clear()
    get(case(), with_local)
    assert hashing.names == []
    (folder / LARGE).write_bytes(b"y" * len(FILES[LARGE]))
    assert get(case(), with_local)["identity"] == digest_by_hand(FILES | {LARGE: b"y" * len(FILES[LARGE])})
    assert hashing.names == ["a.safetensors"]
    assert first["identity"] == digest_by_hand(FILES)


def test_files_that_are_hashed_side_by_side_are_all_remembered(
    fake: FakeHub, folder: Path, with_local: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one to be saved is the last one to be written: it may not undo what was saved meanwhile."""
    save, others = index.Index.save, threading.Semaphore(0)
    first: list[int] = []

    def slow(self: index.Index, records: Mapping[str, index.IndexedFile]) -> None:
        first.append(threading.get_ident())
        if threading.get_ident() != first[0]:
            save(self, records)
            others.release()
            return
        for _ in range(len(FILES) - 1):
            others.acquire(timeout=10)
        save(self, records)

    monkeypatch.setattr(local_models, "_THREADS", len(FILES))
    monkeypatch.setattr(index.Index, "save", slow)
    identify(case(), with_local)
    records = index.Index(folder / local_models.INDEX, with_local.cache).load()
    assert [name for name in FILES if records[name].sha256 is None] == []


def test_a_local_file_that_shrank_or_went_missing_is_named(fake: FakeHub, folder: Path, with_local: Folders) -> None:
    get(case(), with_local)
    os.truncate(folder / LARGE, 10)
    with pytest.raises(
        FetchError, match=rf"owner/model/{LARGE} .* has 10 bytes where it had {len(FILES[LARGE])}; restore"
    ):
        get(case(), with_local)
    (folder / LARGE).unlink()
    with pytest.raises(FetchError, match=rf"owner/model/{LARGE} in the --models folder is missing; restore it, or"):
        get(case(), with_local)
    (folder / local_models.INDEX).unlink()
    rest = {name: body for name, body in FILES.items() if name != LARGE}
    assert get(case(), with_local)["identity"] == digest_by_hand(rest)


def test_the_index_of_a_read_only_folder_lies_in_our_cache(
    fake: FakeHub, folder: Path, with_local: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: not Path(path).is_relative_to(folder) and real(path, mode))
    first = get(case(), with_local)
    assert not (folder / local_models.INDEX).exists()
    assert len(list((with_local.cache / "indexes").glob("*.json"))) == 1
    hashing = Hashing(monkeypatch)
    assert get(case(), with_local) == first
    assert hashing.names == []


def test_links_in_a_local_folder_count_and_circles_are_refused(
    fake: FakeHub, folder: Path, with_local: Folders, tmp_path: Path
) -> None:
    shutil.move(folder / "vae", tmp_path / "elsewhere")
    (folder / "vae").symlink_to(tmp_path / "elsewhere")
    assert get(case(), with_local)["identity"] == digest_by_hand(FILES)
    (folder / "vae" / "up").symlink_to(folder)
    with pytest.raises(FetchError, match="links back to a folder that holds it"):
        get(case(), with_local)


def test_code_of_the_same_name_does_not_pass_for_weights(fake: FakeHub, with_local: Folders) -> None:
    assert with_local.local is not None
    (with_local.local / MODEL / "packages").mkdir(parents=True)
    code = {"repo": MODEL, "commit": "0" * 40, "paths": ["packages"]}
    found = weights.identify(case(files=[LARGE], code=code), with_local, quiet)[MODEL]
    assert found["identity"] == f"commit:{fake.repos[MODEL].main}"


def test_a_models_folder_that_is_not_there_is_refused(fake: FakeHub, folders: Folders, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="the --models folder is not there"):
        identify(case(), Folders(folders.cache, tmp_path / "typo"))


@pytest.mark.parametrize("name", ["../secrets", "owner/..", "a/b/c", "/etc/x"])
def test_a_name_that_is_no_repository_is_refused(fake: FakeHub, with_local: Folders, name: str, folder: Path) -> None:
    with pytest.raises(FetchError, match="is no repository name"):
        identify(case(repo=name), with_local)


# reading ahead


def test_reading_ahead_reads_the_files_of_the_case_once(
    fake: FakeHub, folder: Path, with_local: Folders, folders: Folders
) -> None:
    whole, part = fetch(case(), folders, quiet), fetch(case(files=["vae/*"]), with_local, quiet)
    assert size_of([whole]) == SIZE
    assert read_ahead([whole, whole], SIZE) == SIZE
    assert read_ahead([part], SIZE) == len(FILES["vae/b.safetensors"])
    assert read_ahead([identify(case(), folders)], SIZE) == 0


def test_reading_ahead_stops_where_it_may_read_no_more(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(b"1234")
    fetched = cast("Fetched", {"repositories": {MODEL: {"path": str(tmp_path), "files": ["a", "b", "c"]}}})
    assert read_ahead([fetched], 8) == 8
    assert half_of_memory(1 << 60) <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def test_reading_ahead_ends_at_once_with_its_process(tmp_path: Path) -> None:
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 1 << 40)  # a terabyte of holes: hours to read
    fetched = {"repositories": {MODEL: {"path": str(tmp_path), "files": ["sparse"]}}}
    code = f"from gt_runner.fetch.read_ahead import read_ahead; print(flush=True); read_ahead([{fetched!r}], 1 << 41)"
    env = {**os.environ, "PYTHONPATH": str(RUNNER)}
    process = subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == b"\n"
        process.terminate()
        assert process.wait(2) == -signal.SIGTERM


def test_a_file_that_cannot_be_read_ahead_is_left_to_the_loader(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"1234")
    fetched = cast("Fetched", {"repositories": {MODEL: {"path": str(tmp_path), "files": ["a", "b"]}}})
    assert read_ahead([fetched], 100) == 4

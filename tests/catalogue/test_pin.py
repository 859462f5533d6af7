"""The promises of pinning: what is open is resolved and written, and not a byte of the files is changed besides."""

from __future__ import annotations

import difflib
import json
import shutil
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import stamina
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ci.catalogue import files
from ci.catalogue.files import CASES
from ci.catalogue.pin import Open, open_digest, open_revisions, pin, written
from ci.errors import PinError
from ci.run import registry
from ci.run.recipes import CONTAINERS
from tests.conftest import Gt
from tests.support.factory import body
from tests.support.fake_hub import FILES, FakeHub, serving

COMMIT, DIGEST = "a" * 40, "sha256:" + "b" * 64
OCI = ("127.0.0.1", 5510)  # a registry that some machines of this project have
NAMED = st.from_regex(r"\A[a-z]{1,6}/[a-z]{1,6}\Z")


def changed(before: str, after: str) -> list[str]:
    """The lines that are new or other."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return [line for line in lines if line[0] in "+-" and not line.startswith(("+++", "---"))]


@pytest.mark.parametrize("path", sorted(CASES.glob("*.yaml")), ids=lambda path: path.name)
def test_of_our_own_files_only_the_lines_of_open_repositories_change(path: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(path, tmp_path))
    text = path.read_text()
    spots = open_revisions(text)
    pin(copy, open_revisions, lambda repos: dict.fromkeys(repos, COMMIT))
    lines = changed(text, copy.read_text())
    added = [line for line in lines if line.startswith("+")]
    assert len(added) == len(spots)
    assert all(COMMIT in line for line in added)
    removed = [line[1:] for line in lines if line.startswith("-")]
    assert all(f"+{line}".replace("}", f", revision: {COMMIT}}}") in added or "repo: " in line for line in removed)
    assert open_revisions(copy.read_text()) == []
    if path.name != "smoke.yaml":
        assert spots
        known = files.load(tmp_path)
        assert known.cases or known.native


def test_the_base_image_gets_its_digest_and_its_comments_stay(tmp_path: Path) -> None:
    copy = Path(shutil.copy(CONTAINERS / "images.yaml", tmp_path))
    copy.write_text(copy.read_text().replace(str(yaml.safe_load(copy.read_text())["base"]["digest"]), "null"))
    before = copy.read_text()
    said = pin(copy, open_digest, lambda references: dict.fromkeys(references, DIGEST))
    assert said == [f"images.yaml: docker.io/library/python:3.11-slim is pinned to {DIGEST}"]
    assert [line for line in changed(before, copy.read_text()) if line.startswith("+")] == [f"+  digest: {DIGEST}"]
    assert pin(copy, open_digest, lambda _: pytest.fail("nothing is open")) == []


STYLES = {
    "flow": "model: {repo: %s}",
    "flow with more": "model: {files: ['*'],   repo: '%s' }  # why",
    "block": "model:\n      repo: %s",
    "block with more": "model:\n      # which\n      repo:   %s   # why\n      files: [a, b]",
    "null": "model: {repo: %s, revision: null}",
    "tilde": "model:\n      revision: ~  # open\n      repo: %s",
}


@given(repos=st.lists(NAMED, min_size=1, max_size=5), styles=st.data(), newline=st.sampled_from(["\n", "\r\n"]))
def test_in_whatever_style_a_file_is_written_the_data_is_what_it_was_and_the_revision(
    repos: list[str], styles: st.DataObject, newline: str
) -> None:
    bodies = [STYLES[styles.draw(st.sampled_from(sorted(STYLES)))] % repo for repo in repos]
    text = "# head\ncases:\n" + "".join(
        f"  case_{n}:\n    notes: ['{{}}, é']  # odd:  spacing\n    {body}\n    call:\n        seed:   1\n\n"
        for n, body in enumerate(bodies)
    )
    text = text.replace("\n", newline)
    new = written(text, open_revisions(text), dict.fromkeys(repos, COMMIT))
    data = yaml.safe_load(text)
    for case in data["cases"].values():
        case["model"]["revision"] = COMMIT
    assert yaml.safe_load(new) == data
    kept = new.replace(f", revision: {COMMIT}", "").replace(f"{newline}      revision: {COMMIT}", "")
    assert len(kept) == len(text) or "null" in text or "~" in text
    assert ("\r\n" in new) == (newline == "\r\n")


def test_a_repository_that_several_cases_share_is_pinned_once_and_one_that_has_a_revision_not_at_all() -> None:
    text = "cases:\n  a:\n    model: &m {repo: o/m}\n  b:\n    model: *m\n  c:\n    model: {repo: o/n, revision: abc}\n"
    new = written(text, open_revisions(text), {"o/m": COMMIT, "o/n": COMMIT})
    assert new == text.replace("{repo: o/m}", f"{{repo: o/m, revision: {COMMIT}}}")


def test_a_case_that_names_a_repository_twice_gets_one_revision_for_both() -> None:
    text = "cases:\n  a:\n    model: {repo: o/m, revision: abc}\n    loras:\n      - {repo: o/m, file: x}\n"
    (spot,) = open_revisions(text)
    assert spot.given == "abc"
    assert "- {repo: o/m, revision: abc, file: x}" in written(text, [spot], {})


def test_a_change_that_would_reach_further_is_refused() -> None:
    text = "cases:\n  a:\n    model: {repo: o/m}\n"
    with pytest.raises(PinError, match="write the pins by hand"):
        written(text, [Open("o/m", ("cases", "a", "model", "revision"), 0, 5)], {"o/m": COMMIT})


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FakeHub]:
    hub = FakeHub()
    with serving(hub):
        yield hub


def test_the_command_asks_the_hub_and_says_what_it_could_not_resolve(hub: FakeHub, gt: Gt, tmp_path: Path) -> None:
    hub.push("owner/old", FILES)
    commit = hub.push("owner/old", {**FILES, "new": b""})
    folder = tmp_path / "cases"
    folder.mkdir()
    cases = {"one": body("owner/old"), "two": body("owner/gone")}
    (folder / "mine.yaml").write_text(yaml.safe_dump({"version": 1, "source": "diffusers", "cases": cases}))
    env = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf")}
    looked = gt("pin", "--cases", "cases", "--check", env=env)
    assert (looked.returncode, hub.log) == (1, [])
    assert "mine.yaml: owner/old is open" in looked.stderr
    done = gt("pin", "--cases", "cases", env=env)
    assert done.returncode == 1
    assert f"mine.yaml: owner/old is pinned to {commit}" in done.stderr
    assert "owner/gone is not there or is private" in done.stderr
    assert files.load(folder).cases["one"].spec.model.revision == commit  # type: ignore[union-attr]
    assert files.load(folder).cases["two"].spec.model.revision is None  # type: ignore[union-attr]


class Registry(BaseHTTPRequestHandler):
    """A registry of one image that wants a token from its token server first, as public ones do."""

    asked: list[str]
    busy: int

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path.startswith("/token"):
            return self._send(200, {}, json.dumps({"token": "anybody"}).encode())
        if self.busy:
            type(self).busy -= 1
            return self._send(503, {}, b"")
        if self.headers.get("Authorization") != "Bearer anybody":
            realm = (
                f'Bearer realm="http://{self.headers["Host"]}/token",service="r",scope="repository:library/python:pull"'
            )
            return self._send(401, {"WWW-Authenticate": realm}, b"")
        if not self.path.endswith("/3.11-slim"):
            return self._send(404, {}, b"")
        assert "oci.image.index" in self.headers["Accept"]
        return self._send(200, {"Docker-Content-Digest": DIGEST}, b"{}")

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Silent."""


@pytest.fixture
def local_registry() -> Iterator[str]:
    Registry.asked, Registry.busy = [], 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"127.0.0.1:{server.server_port}/library/python"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_registry_gives_the_digest_of_a_tag_also_where_it_wants_a_token_or_is_busy(local_registry: str) -> None:
    Registry.busy = 1
    with stamina.set_testing(True, attempts=3, cap=True):
        assert registry.digest(f"{local_registry}:3.11-slim") == DIGEST
    assert any("scope=repository" in path for path in Registry.asked)
    with pytest.raises(PinError, match="the registry answered 404; check the reference"):
        registry.digest(f"{local_registry}:no-such-tag")


def test_the_digest_is_what_a_real_registry_says() -> None:
    with socket.socket() as probe:
        if probe.connect_ex(OCI):
            pytest.skip("no registry answers at 127.0.0.1:5510")
    assert registry.digest("127.0.0.1:5510/library/python:3.11-slim").startswith("sha256:")


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("python", "https://registry-1.docker.io/v2/library/python/manifests/latest"),
        ("docker.io/library/python:3.11-slim", "https://registry-1.docker.io/v2/library/python/manifests/3.11-slim"),
        ("owner/image:1", "https://registry-1.docker.io/v2/owner/image/manifests/1"),
        ("ghcr.io/owner/image:1", "https://ghcr.io/v2/owner/image/manifests/1"),
        ("localhost:5000/image", "http://localhost:5000/v2/image/manifests/latest"),
    ],
)
def test_a_reference_is_read_as_docker_reads_it(given: str, address: str) -> None:
    assert registry.parse(given).address == address


@pytest.mark.parametrize("given", ["", "UPPER", "python@sha256:" + "0" * 64, "a b"])
def test_what_names_no_image_by_its_tag_is_refused(given: str) -> None:
    with pytest.raises(PinError, match="names no image by its tag"):
        registry.parse(given)

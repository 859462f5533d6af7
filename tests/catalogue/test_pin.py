"""The promises of pinning: what is open is resolved and written, and not a byte of the files is changed besides."""

from __future__ import annotations

import difflib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ci.catalogue import files
from ci.catalogue.files import CASES
from ci.catalogue.pin import Gap, filled, open_digest, open_revisions, pin
from ci.errors import PinError
from ci.run.recipes import CONTAINERS
from tests.conftest import Gt
from tests.support.factory import body
from tests.support.fake_hub import FILES, FakeHub, serving

COMMIT, DIGEST = "a" * 40, "sha256:" + "b" * 64
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
    new = filled(text, open_revisions(text), dict.fromkeys(repos, COMMIT))
    data = yaml.safe_load(text)
    for case in data["cases"].values():
        case["model"]["revision"] = COMMIT
    assert yaml.safe_load(new) == data
    kept = new.replace(f", revision: {COMMIT}", "").replace(f"{newline}      revision: {COMMIT}", "")
    assert len(kept) == len(text) or "null" in text or "~" in text
    assert ("\r\n" in new) == (newline == "\r\n")


def test_a_repository_that_several_cases_share_is_pinned_once_and_one_that_has_a_revision_not_at_all() -> None:
    text = "cases:\n  a:\n    model: &m {repo: o/m}\n  b:\n    model: *m\n  c:\n    model: {repo: o/n, revision: abc}\n"
    new = filled(text, open_revisions(text), {"o/m": COMMIT, "o/n": COMMIT})
    assert new == text.replace("{repo: o/m}", f"{{repo: o/m, revision: {COMMIT}}}")


def test_a_case_that_names_a_repository_twice_gets_one_revision_for_both() -> None:
    text = "cases:\n  a:\n    model: {repo: o/m, revision: abc}\n    loras:\n      - {repo: o/m, file: x}\n"
    (spot,) = open_revisions(text)
    assert spot.value == "abc"
    assert "- {repo: o/m, revision: abc, file: x}" in filled(text, [spot], {})


def test_a_change_that_would_reach_further_is_refused() -> None:
    text = "cases:\n  a:\n    model: {repo: o/m}\n"
    with pytest.raises(PinError, match="write the pins by hand"):
        filled(text, [Gap("o/m", ("cases", "a", "model", "revision"), 0, 5)], {"o/m": COMMIT})


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FakeHub]:
    hub = FakeHub()
    with serving(hub):
        yield hub


def place_case(path: Path, newline: str = "\n") -> str:
    """A case file with one open repository; its text."""
    text = f"cases:\n  one:\n    model:\n      repo: a/b\n    text_encoder: {{repo: a/b, revision: {COMMIT}}}\n"
    path.write_bytes(text.replace("\n", newline).encode())
    return text


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_a_file_keeps_its_line_ends_its_mode_and_the_link_that_leads_to_it(tmp_path: Path, newline: str) -> None:
    real, link = tmp_path / "real.yaml", tmp_path / "link.yaml"
    text = place_case(real, newline)
    real.chmod(0o640)
    link.symlink_to(real.name)
    assert pin(link, open_revisions, lambda _: {}) == [f"link.yaml: a/b is pinned to {COMMIT}"]
    new = text.replace("repo: a/b\n", f"repo: a/b\n      revision: {COMMIT}\n", 1)
    assert real.read_bytes().decode() == new.replace("\n", newline)
    assert (link.is_symlink(), real.stat().st_mode & 0o777) == (True, 0o640)
    assert len(list(tmp_path.iterdir())) == 2


def test_the_longest_name_that_a_file_can_have_is_pinned_too(tmp_path: Path) -> None:
    place_case(tmp_path / f"{'x' * 250}.yaml")
    assert pin(tmp_path / f"{'x' * 250}.yaml", open_revisions, lambda _: {})


def test_a_file_that_cannot_be_written_is_named_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> Path:
        raise PermissionError(13, "Permission denied", str(target))

    monkeypatch.setattr(Path, "replace", refuse)  # who runs the tests may be root, who may write anywhere
    text = place_case(tmp_path / "a.yaml")
    with pytest.raises(PinError, match=r"a\.yaml cannot be written: Permission denied; let it be written, or "):
        pin(tmp_path / "a.yaml", open_revisions, lambda _: {})
    assert [path.read_text() for path in tmp_path.iterdir()] == [text]


@pytest.mark.parametrize("wrong", ["[", "a: b"])
def test_a_change_that_is_refused_names_the_file(tmp_path: Path, wrong: str) -> None:
    text = place_case(tmp_path / "a.yaml")
    spot = Gap("a/b", ("cases", "one", "model", "revision"), len(text), len(text), f"{wrong}\n")
    with pytest.raises(PinError, match=r"a\.yaml: the file is written in a way that "):
        pin(tmp_path / "a.yaml", lambda _: [spot], lambda _: {"a/b": COMMIT})
    assert (tmp_path / "a.yaml").read_text() == text


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


def test_an_open_base_image_is_named_with_the_call_that_resolves_it(gt: Gt) -> None:
    checked = gt("pin", "--check")
    if open_digest((CONTAINERS / "images.yaml").read_text()):
        assert "images.yaml: docker.io/library/python:3.11-slim is open" in checked.stderr
    assert checked.returncode == int("is open" in checked.stderr)

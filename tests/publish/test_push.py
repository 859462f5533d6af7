"""The promises of `gt publish` as a user types it, with the real gate and a real server."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from ci.publish.remotes.opening import WAYS
from ci.verbs.choices import PublishWay
from tests.conftest import Gt
from tests.support import pictures
from tests.support.git_server import GitServer
from tests.support.publishers import DIRECTORY, Place

NAME = "case_1gpu.jpg"
PICTURE = pictures.scene(1)


def test_from_a_sound_artifact_to_the_commit_that_holds_it(
    server: GitServer, http: Place, tmp_path: Path, gt: Gt
) -> None:
    to = ("publish", "--to", server.url, "--publish-target-dir", DIRECTORY)
    env = {"GT_PUBLISH_TOKEN": server.token, "GIT_AUTHOR_NAME": "A Robot", "GIT_AUTHOR_EMAIL": "robot@example.org"}
    pictures.artifact(tmp_path / "gt", {NAME: PICTURE})
    first = gt(*to, env=env)
    assert first.returncode == 0, first.stderr
    assert first.stdout.strip() == http.commits()[0]
    assert f"gt: published in branch main of {server.url}: new: case" in first.stderr
    assert server.git("log", "-1", "--format=%an <%ae>") == "A Robot <robot@example.org>"
    again = gt(*to, env=env)
    assert (again.returncode, again.stdout) == (0, first.stdout)
    assert "nothing new" in again.stderr
    pictures.artifact(tmp_path / "gt", {NAME: PICTURE.transpose(Image.Transpose.ROTATE_180)})
    drifted = gt(*to, env=env)
    assert (drifted.returncode, drifted.stdout) == (1, "")
    assert "turned by 180 degrees" in drifted.stderr
    assert "--accept CASE --reason TEXT" in drifted.stderr
    assert http.commits()[0] == first.stdout.strip()
    accepted = gt(*to, "--accept", "case", "--reason", "the camera was upside down", env=env)
    assert accepted.returncode == 0, accepted.stderr
    assert "changed: case: the camera was upside down" in http.message()


def test_there_is_no_way_past_the_gate_and_it_can_be_asked_alone(server: GitServer, tmp_path: Path, gt: Gt) -> None:
    pictures.artifact(tmp_path / "gt", {NAME: pictures.noise(PICTURE)})
    to = ("publish", "--to", server.url, "--publish-target-dir", DIRECTORY, "--accept", "case", "--reason", "I want it")
    done = gt(*to, env={"GT_PUBLISH_TOKEN": server.token})
    assert done.returncode == 1
    assert NAME in done.stderr
    assert "Nothing was published: the gate refuses the artifact." in done.stderr
    alone = gt(*to, "--check-only", env={"GT_PUBLISH_TOKEN": server.token})
    assert alone.returncode == 1
    assert NAME in alone.stderr


def test_it_is_never_green_for_nothing(server: GitServer, tmp_path: Path, gt: Gt) -> None:
    env = {"GT_PUBLISH_TOKEN": server.token}
    nowhere = gt("publish", env=env)
    assert nowhere.returncode == 2
    assert "--to" in nowhere.stderr
    missing = gt("publish", "--to", server.url, env=env)
    assert missing.returncode == 2
    assert "holds no manifest.json" in missing.stderr
    reasonless = gt("publish", "--to", server.url, "--accept", "a", env=env)
    assert reasonless.returncode == 2
    assert "--accept needs --reason" in reasonless.stderr


def test_the_right_to_write_can_be_asked_for_before_anything_is_generated(server: GitServer, gt: Gt) -> None:
    allowed = gt("publish-access", "--to", server.url, env={"GT_PUBLISH_TOKEN": server.token})
    assert (allowed.returncode, allowed.stdout) == (0, "")
    denied = gt("publish-access", "--to", server.url, env={"GT_PUBLISH_TOKEN": server.reader})
    assert denied.returncode == 2
    assert "the token may not write there" in denied.stderr


def test_the_modules_ways_are_the_commands() -> None:
    assert {way.value for way in PublishWay} == set(WAYS)

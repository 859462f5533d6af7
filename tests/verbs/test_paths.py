"""What `gt` says of a path that is empty, too long or closed to the user, whichever verb takes it."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest

from ci.errors import GtError
from ci.verbs import to_dagger
from ci.verbs.fields import fields
from ci.verbs.plan import GitlabPipeline
from ci.verbs.publish import PublishAccess
from tests.verbs.conftest import Command

LONG = "x" * 300  # characters; a file system takes 255
OPTIONAL = "is empty; name something with it, or leave it out"
REQUIRED = "is empty; name something with it"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["generate", "--source-group", "smoke", "--previous", ""], f"--previous {OPTIONAL}"),
        (["generate", "--source-group", "smoke", "--replace", "-o", ""], f"--output {OPTIONAL}"),
        (["plan", "--cases", ""], f"--cases {OPTIONAL}"),
        (["verdict", "--artifact", ""], f"--artifact {OPTIONAL}"),
        (["compare", "--published", ""], f"--published {OPTIONAL}"),
        (["check", "--json", ""], f"--json {OPTIONAL}"),
        (["fetch", "--lock-file", ""], f"--lock-file {OPTIONAL}"),
        (["reproduce", ""], f"ARTIFACT {REQUIRED}"),
        (["cases", "show", ""], f"CASE_ID {REQUIRED}"),
        (["publish-access", "--to", ""], f"--to {REQUIRED}"),
        (["gitlab-pipeline", "--matrix", "m.json", "--tag", ""], f"--tag {REQUIRED}"),
    ],
)
def test_an_option_that_must_name_something_is_never_empty(run_gt: Command, arguments: list[str], words: str) -> None:
    output = run_gt(*arguments)
    assert (output.status, output.out, output.err) == (2, "", f"gt: {words}\n")


@pytest.mark.parametrize("verb", [PublishAccess, GitlabPipeline])
def test_the_module_refuses_a_required_text_that_is_empty_too(verb: type) -> None:
    field = next(field for field in fields(verb) if field.name in ("to", "tag"))
    with pytest.raises(GtError, match=f"^{field.option} {REQUIRED}$"):
        anyio.run(to_dagger._value, field, "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["plan", "--cases", LONG],
        ["generate", "--source-group", "smoke", "--models", LONG],
        ["verdict", "--artifact", LONG],
        ["compare", "--published", LONG],
        ["diverge", "--reference", LONG, "--other", "b"],
        ["reproduce", LONG],
        ["fetch", "-o", LONG],
        ["fetch", "--lock-file", LONG],
        ["publish-access", "--to", LONG],
        ["collect", "parts", "--matrix", LONG],
    ],
)
def test_a_name_that_is_too_long_is_told_in_a_line(run_gt: Command, arguments: list[str]) -> None:
    output = run_gt(*arguments)
    assert (output.status, output.out) == (2, "")
    assert output.err.startswith(f"gt: {LONG}")
    assert "File name too long" in output.err
    assert output.err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["verdict", "--artifact"], ["compare", "--published"], ["plan", "--cases"]])
def test_a_folder_behind_one_that_is_closed_is_told_in_a_line(
    run_gt: Command, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    def is_dir(self: Path) -> bool:
        if self == Path("closed/folder"):
            raise PermissionError(13, "Permission denied", str(self))
        return True

    monkeypatch.setattr(Path, "is_dir", is_dir)  # who runs the tests may be root, to whom nothing is closed
    output = run_gt(*arguments, "closed/folder")
    assert (output.status, output.err) == (2, "gt: closed/folder cannot be read: Permission denied\n")


@pytest.mark.parametrize("place", ["/dev/stdout", "/dev/fd/{}"])
def test_what_was_found_can_go_into_a_pipe(run_gt: Command, place: str) -> None:
    reader, writer = os.pipe()
    output = run_gt("reproduce", "absent", "--json", place.format(writer))
    assert (output.status, output.err.startswith("gt: absent is no artifact: ")) == (2, True)
    os.close(reader)
    os.close(writer)


def test_only_published_gt_may_be_an_address(run_gt: Command) -> None:
    for option in ("--models", "--previous", "--engine"):
        output = run_gt("generate", "--source-group", "smoke", option, "data#main:gt")
        assert (output.status, output.err) == (2, f"gt: {option} data#main:gt: there is no such directory\n")

"""What our pages tell a reader to type is what our interfaces take, and every link leads somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from ci.cli import app
from ci.run.dagger_interface import CALL, CORE
from tests.conftest import ROOT
from tests.support.interface import functions
from tests.support.pages import DOCS, PAGES, commands

SECTIONS = ("start", "cases", "run", "judge", "publish", "ci", "hosts", "reference")  # in the order of use


def parse(arguments: list[str]) -> None:
    """Parse by the real command, and run nothing. Raises what it raises for arguments that it does not take."""
    command = typer.main.get_command(app)
    leaves = [command]
    while leaves:
        leaf = leaves.pop()
        leaves += getattr(leaf, "commands", {}).values()
        leaf.callback = lambda **_: None
    command.main(arguments, prog_name="gt", standalone_mode=False)


def call(arguments: list[str]) -> str:
    """The function that a call names. Raises AssertionError where the module does not have it, or an argument."""
    known, rest = functions(), list(arguments)
    while rest and rest[0].startswith("-"):
        assert rest.pop(0) in ("-m",), arguments
        rest.pop(0)
    verb = rest.pop(0)
    assert verb in known, f"no function {verb}"
    takes = known[verb]
    while rest and rest[0].startswith("-"):
        name, _, value = rest.pop(0).partition("=")
        assert name in takes or name in ("-o", "--help"), f"{verb} has no {name}"
        if not value and (name == "-o" or takes.get(name) is not bool):
            rest.pop(0)
    on_container = verb == "runner" and rest[:1] in (["terminal"], ["export"], ["publish"])
    assert not rest or on_container, f"{verb} is no container: {rest}"
    return verb


@pytest.mark.parametrize(("line", "arguments"), list(commands("gt")))
def test_a_command_of_gt_is_one_that_it_takes(line: str, arguments: list[str]) -> None:
    parse(arguments)


CALLS = [(line, words[1:]) for line, words in commands("dagger") if f"dagger {words[0]}" == CALL]


@pytest.mark.parametrize(("line", "arguments"), CALLS)
def test_a_call_on_an_engine_names_a_function_and_arguments_that_the_module_has(
    line: str, arguments: list[str]
) -> None:
    call(arguments)


def test_no_page_writes_a_call_of_a_function_in_another_way() -> None:
    assert {f"dagger {words[0]}" for _, words in commands("dagger")} <= {CALL, CORE}
    text = "\n".join(page.read_text() for page in PAGES)
    spelled = set(re.findall(r"\bdagger (?:--?[\w=-]+ )*(?:call|core|functions|api|query)\b", text))
    assert spelled == {CALL, CORE, "dagger functions", "dagger api"}  # the last one where 1.0 is told of


def options(command: Any) -> Iterator[str]:
    """The options of a command and of those below it, as they are typed."""
    for below in getattr(command, "commands", {}).values():
        yield from options(below)
    yield from (option for each in command.params for option in each.opts if option.startswith("--"))


def test_every_option_of_gt_is_on_a_page() -> None:
    text = "\n".join(page.read_text() for page in PAGES if page.name != "CHANGELOG.md")
    told = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))
    assert sorted(set(options(typer.main.get_command(app))) - told) == []


def test_the_page_on_installing_says_of_every_verb_what_it_needs() -> None:
    rows = [line for line in (DOCS / "start" / "install.md").read_text().splitlines() if line.count("|") == 4]
    named = [name for row in rows for name in re.findall(r"`([a-z-]+)`", row.split("|")[1])]
    assert sorted(named) == sorted(vars(typer.main.get_command(app))["commands"])


def test_the_page_of_the_module_calls_every_main_function() -> None:
    page = "docs/start/dagger.md:"
    calls = {call(arguments) for line, arguments in CALLS if line.startswith(page)}
    assert calls >= {"generate", "verdict", "matrix", "plan", "check", "compare", "publish", "reproduce", "runner"}


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("generate --offical", "No such option"),
        ("cases lst", "No such command"),
        ("publish --prune=x", "does not take a value"),
        ("verdict gt", "unexpected extra argument"),
    ],
)
def test_a_command_that_gt_does_not_take_is_noticed(command: str, message: str) -> None:
    with pytest.raises(Exception, match=message):
        parse(command.split())


@pytest.mark.parametrize("arguments", [["generat"], ["generate", "--offical"], ["verdict", "terminal"]])
def test_a_call_that_the_module_does_not_take_is_noticed(arguments: list[str]) -> None:
    with pytest.raises(AssertionError):
        call(arguments)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_headings_that_are_there(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)\s]+)\)", page.read_text()):
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}, target


def test_a_page_leads_to_every_example_and_to_all_that_is_deployed() -> None:
    linked = {
        (page.parent / target).resolve()
        for page in DOCS.rglob("*.md")
        for target in re.findall(r"\]\((?!https?://)([^)\s#]+)", page.read_text())
    }
    offered = [path for folder in ("examples", "templates") for path in (ROOT / folder).iterdir()]
    offered += [path for path in (ROOT / "deploy").rglob("*") if path.is_file()]
    assert [path for path in offered if not any(path in (target, *target.parents) for target in linked)] == []


def test_a_comment_or_message_that_names_a_page_names_one_that_is_there() -> None:
    folders = ("ci", "containers", "cases", "bench", "deploy", "examples", "templates", ".github")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix != ".pyc"]
    texts = {path: path.read_text(errors="replace") for path in [ROOT / "action.yml", *files] if path.is_file()}
    pages = {(path, page) for path, text in texts.items() for page in re.findall(r"\bdocs/[\w/-]+\.md\b", text)}
    assert pages
    assert [(path, page) for path, page in pages if not (ROOT / page).exists()] == []


def test_the_index_names_every_page_in_the_order_of_use() -> None:
    index = re.findall(r"\]\(([\w/-]+\.md)\)", (DOCS / "README.md").read_text())
    assert sorted(index) == sorted(
        path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md") if path.parent != DOCS
    )
    assert list(dict.fromkeys(page.split("/")[0] for page in index)) == list(SECTIONS)


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.relative_to(DOCS).as_posix())
def test_a_page_starts_with_a_heading_and_what_it_is_for(page: Path) -> None:
    heading, empty, purpose, *_ = page.read_text().splitlines()
    assert heading.startswith("# ")
    assert not empty
    assert re.match(r"\w", purpose)

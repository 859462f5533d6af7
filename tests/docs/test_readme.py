"""What README.md and docs/ tell a user to type: commands that our interfaces take, files that are there, and runs."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
import typer
import yaml

from ci.cli import app
from tests.conftest import ROOT, gt_command
from tests.support.interface import functions

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "bench" / "README.md"]
SHELLS = ("console", "sh", "shell", "bash")
PREFIXES = (["uv", "run", "--no-dev"], ["uv", "run", "python", "-m"], ["uv", "run"])


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """What is to be typed, a line for each command."""
        lines = self.text.replace("\\\n", " ").splitlines()
        if self.language == "console":
            return [line[2:] for line in lines if line.startswith("$ ")]
        return [line for line in lines if line.strip()]


def blocks(*languages: str) -> Iterator[Block]:
    for page in PAGES:
        for language, text in re.findall(r"^ *```(\w+)\n(.*?)^ *```$", page.read_text(), re.MULTILINE | re.DOTALL):
            if language in languages:
                yield Block(page, language, text)


def words(command: str) -> list[str]:
    """A command's words: without comment, variables before it, placeholders and what else it is joined with."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|&;()<>")
    lexer.whitespace_split, lexer.commenters = True, "#"
    try:
        found = list(lexer)
    except ValueError:  # a quoted script that goes on in the next line
        return []
    end = next((number for number, word in enumerate(found) if set(word) <= set("|&;()<>")), len(found))
    found = [word for before, word in pairwise(["", *found[:end]]) if word != "…" or before.startswith("--")]
    while found and re.match(r"[A-Z_][A-Z0-9_]*=", found[0]):
        found.pop(0)
    for prefix in PREFIXES:
        if found[: len(prefix)] == prefix:
            return found[len(prefix) :]
    return found


def commands(program: str) -> Iterator[tuple[str, list[str]]]:
    """Every command of a program on our pages, as it stands and in words."""
    for block in blocks(*SHELLS):
        for command in block.commands:
            found = words(command)
            if found and found[0] == program:
                yield f"{block.page.name}: {command.strip()}", found[1:]


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
    """The function of a `dagger call`. Raises AssertionError where the module does not have what stands there."""
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


@pytest.mark.parametrize(("line", "arguments"), [each for each in commands("dagger") if each[1][0] == "call"])
def test_a_dagger_call_names_a_function_and_arguments_that_the_module_has(line: str, arguments: list[str]) -> None:
    call(arguments[1:])


def test_the_readme_calls_every_main_function() -> None:
    section = (ROOT / "README.md").read_text().split("\n## Dagger module\n")[1].split("\n## ")[0]
    (_, console) = re.findall(r"```console\n(.*?)```", section, re.DOTALL)
    called = {call(words(line[2:])[2:]) for line in console.splitlines()}
    assert called >= {"generate", "verdict", "matrix", "plan", "check", "compare", "publish", "reproduce", "runner"}


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("generate --offical", "No such option"),
        ("cases lst", "No such command"),
        ("publish --prune=x", "does not take a value"),
        ("verdict gt", "unexpected extra argument"),
    ],
)
def test_a_command_that_gt_does_not_take_would_be_found(command: str, said: str) -> None:
    with pytest.raises(Exception, match=said):
        parse(command.split())


@pytest.mark.parametrize("arguments", [["generat"], ["generate", "--offical"], ["verdict", "terminal"]])
def test_a_call_that_the_module_does_not_take_would_be_found(arguments: list[str]) -> None:
    with pytest.raises(AssertionError):
        call(arguments)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings_that_are_there(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)\s]+)\)", page.read_text()):
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}, target


def test_the_first_commands_of_the_readme_give_what_it_says(tmp_path: Path) -> None:
    """The smoke cases, made as the README says; the test suite is not run in itself."""
    first, second = (block for block in list(blocks("console"))[:2] if block.page.name == "README.md")
    typed = [words(line) for line in (*first.commands, *second.commands)]
    assert [line[0] for line in typed] == ["gt", "pytest", "ls", "gt"]
    said = ""
    for line in typed:
        if line[0] == "gt":
            done = subprocess.run(gt_command(*line[1:]), cwd=tmp_path, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            said += done.stdout
    (listed,) = re.findall(r"^manifest\.json  .*$", second.text, re.MULTILINE)
    assert {name for name in listed.split() if name != "…"} <= {path.name for path in (tmp_path / "gt").iterdir()}
    assert said.strip() == second.text.strip().splitlines()[-1]


def test_gitlab_examples_name_inputs_that_the_template_has() -> None:
    spec = next(yaml.safe_load_all((ROOT / "templates" / "gt.yml").read_text()))["spec"]["inputs"]
    found = [yaml.safe_load(block.text) for block in blocks("yaml") if block.page.name == "other.md"]
    for example in found:
        (include,) = example["include"]
        assert {name for name, each in spec.items() if "default" not in each} <= include["inputs"].keys() <= spec.keys()
        assert re.search(r"/gt@v1$|/v1/templates/gt\.yml$", include.get("component") or include["remote"])
    assert len(found) == 2
    table = (ROOT / "docs" / "ci" / "other.md").read_text()
    told = {
        name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`([a-z-]+)`", row)
    }
    assert spec.keys() <= told


def test_every_page_of_the_docs_is_named_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    pages = [path.relative_to(ROOT).as_posix() for path in PAGES]
    assert [page for page in pages if page.startswith("docs/") and f"({page})" not in readme] == []

"""`gt`, the local command: the verbs as commands."""

from __future__ import annotations

import io
import signal
import sys
from itertools import chain
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .artifact.tool import version
from .errors import GtError
from .run.signals import stops
from .verbs.answers import say
from .verbs.artifact import Attest, Collect, Summary, Verdict
from .verbs.cache import Cache
from .verbs.cases import CasesDiff, CasesList, CasesShow, CasesValidate
from .verbs.fetch import Fetch
from .verbs.fields import Verb, name_of
from .verbs.generate import GenerateOnMachine
from .verbs.judge import CheckOnMachine, CompareOnMachine, DivergeOnMachine
from .verbs.pin import PinOnMachine
from .verbs.plan import ConcurrencyKey, GitlabPipeline, MatrixOnMachine, Plan, PublishTarget
from .verbs.publish import PublishAccess, PublishOnMachine
from .verbs.reproduce import ReproduceOnMachine
from .verbs.to_typer import Command, command
from .verbs.trace import TraceOnMachine

VERBS: dict[str, tuple[type[Verb], ...]] = {  # in the order of use, as the help groups them
    "Make": (GenerateOnMachine, ReproduceOnMachine, TraceOnMachine, Plan),
    "Judge": (CheckOnMachine, CompareOnMachine, DivergeOnMachine, Verdict),
    "Publish": (PublishOnMachine, PublishAccess, Fetch, Attest),
    "CI": (MatrixOnMachine, Collect, Summary, GitlabPipeline, ConcurrencyKey, PublishTarget),
    "Look": (PinOnMachine, Cache),
}
SENTENCE = 200  # characters: the whole first sentence of a command's help, wrapped to the terminal
CASES = (CasesList, CasesShow, CasesValidate, CasesDiff)


class Grouped(TyperGroup):
    """Lists commands under the headings of VERBS, in plain text: boxes would double the time that a start takes."""

    def format_commands(self, _: Any, formatter: Any) -> None:
        """Write the sections."""
        for heading, verbs in VERBS.items():
            names = [*map(name_of, verbs), *(["cases"] if heading == "Look" else [])]
            with formatter.section(heading):
                formatter.write_dl([(name, self.commands[name].get_short_help_str(SENTENCE)) for name in names])


settings = {"help_option_names": ["-h", "--help"]}
defaults: dict[str, Any] = {"no_args_is_help": True, "context_settings": settings, "rich_markup_mode": None}
app = typer.Typer(cls=Grouped, pretty_exceptions_enable=False, **defaults)
cases = typer.Typer(help="List, show, validate and compare cases.", **defaults)

for verb in chain(*VERBS.values()):
    app.command(name_of(verb), cls=Command)(command(verb))
for each in CASES:
    cases.command(name_of(each).removeprefix("cases-"))(command(each))
app.add_typer(cases, name="cases")


def print_version(request: bool) -> None:
    """Print the version of the package and exit, where that is asked for."""
    if request:
        typer.echo(f"gt {version()}")
        raise typer.Exit


@app.callback()
def options(
    _: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=print_version, is_eager=True)
    ] = False,
) -> None:
    """Ground truth for diffusion serving engines, made by the official implementation of each model."""


def main() -> None:
    """Run the command. A GtError becomes its message and its exit status; Typer makes a stop exit status 130.

    What the machine refuses where no verb looks for it, such as a write to a full disk, becomes a line and status 2.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal of another encoding shows a stand-in, and no traceback
    for sign in stops():  # each ends a run as Ctrl-C does; a shell starts `gt … &` with SIGINT ignored
        signal.signal(sign, signal.default_int_handler)
    try:
        app(prog_name="gt")
    except GtError as error:
        say(str(error))
        sys.exit(error.status)
    except OSError as error:
        say(f"{error.filename or 'this machine'}: {error.strerror or error}; mend that, or name another place")
        sys.exit(GtError.status)

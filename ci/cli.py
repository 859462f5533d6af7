"""`gt`, the local command: the verbs as commands."""

from __future__ import annotations

import io
import signal
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from .errors import GtError
from .run.on_machine import stops
from .verbs.artifact import Attest, Collect, Summary, Verdict
from .verbs.cases import CasesDiff, CasesList, CasesShow, CasesValidate
from .verbs.fields import name_of
from .verbs.generate import GenerateOnMachine
from .verbs.judge import CheckOnMachine, CompareOnMachine
from .verbs.options import say
from .verbs.pin import PinOnMachine
from .verbs.plan import ConcurrencyKey, GitlabPipeline, Matrix, Plan, PublishTarget
from .verbs.publish import PublishAccess, PublishOnMachine
from .verbs.reproduce import ReproduceOnMachine
from .verbs.to_typer import command

VERBS = {  # in the order of use, as the help groups them
    "Make": (GenerateOnMachine, ReproduceOnMachine, Plan),
    "Judge": (CheckOnMachine, CompareOnMachine, Verdict),
    "Publish": (PublishOnMachine, PublishAccess, Attest),
    "CI": (Matrix, Collect, Summary, GitlabPipeline, ConcurrencyKey, PublishTarget),
    "Look": (PinOnMachine,),
}
CASES = (CasesList, CasesShow, CasesValidate, CasesDiff)

settings = {"help_option_names": ["-h", "--help"]}
app = typer.Typer(
    no_args_is_help=True,
    context_settings=settings,
    pretty_exceptions_enable=False,
)
cases = typer.Typer(no_args_is_help=True, context_settings=settings, help="List, show, validate and compare cases.")

for panel, verbs in VERBS.items():
    for verb in verbs:
        app.command(name_of(verb), rich_help_panel=panel)(command(verb))
for verb in CASES:
    cases.command(name_of(verb).removeprefix("cases-"))(command(verb))
app.add_typer(cases, name="cases", rich_help_panel="Look")


def print_version(wanted: bool) -> None:
    """Print the version of the package and exit, where that is wanted."""
    if wanted:
        typer.echo(f"gt {version('diffusion-gt')}")
        raise typer.Exit


@app.callback()
def options(
    _: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=print_version, is_eager=True)
    ] = False,
) -> None:
    """Ground truth for diffusion serving engines, made by the official implementation of each model."""


def main() -> None:
    """Run the command. A GtError becomes its message and its exit status; Typer makes a stop exit status 130."""
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

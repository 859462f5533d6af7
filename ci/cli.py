"""`gt`: the local command. Thin over the planning core and the runner; verbs and options as in the Dagger module."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
import yaml
from rich.console import Console

from .artifact import folder as artifact
from .artifact import verdict as verdicts
from .catalogue import files
from .catalogue.files import Catalogue
from .catalogue.model import Case
from .catalogue.selection import Selection, select
from .commands.attest import attest
from .commands.collect import collect
from .commands.diff import diff
from .commands.gitlab import gitlab_pipeline
from .commands.judge import check, compare
from .commands.options import OURS, CasesDir, Engine, Ref, TargetDir
from .commands.pin import pin_command
from .commands.publish import publish
from .commands.reproduce import reproduce
from .commands.summary import summary
from .errors import GtError, SelectionError, near
from .plan import host, jobs, workflow
from .plan.generation import Generation
from .plan.table import plan_table
from .run import on_machine
from .run.progress import Bars

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Ground truth for diffusion serving engines, made by the official implementation of each model.",
)
cases_app = typer.Typer(no_args_is_help=True, help="List, show and validate cases.")
app.add_typer(cases_app, name="cases")

Official = Annotated[bool, typer.Option("--official", help="Official cases; without it, the native mode's.")]
CaseIds = Annotated[str, typer.Option(help="Only these cases; ids separated by spaces or commas.")]
SourceGroup = Annotated[str, typer.Option(help="all, diffusers, wan21, ltx, ltx23, smoke or a group of your own.")]
On = Annotated[str | None, typer.Option(help="Run on this GPU kind whatever a case needs: cpu, h100, …, or any.")]
PerCase = Annotated[
    bool, typer.Option("--per-case", help="A job for each case, instead of one for each model or part of a suite.")
]
Native = Annotated[bool, typer.Option("--native", help="Native cases, instead of official ones.")]
OutputName = Annotated[str, typer.Option(help="Name of the run's output.")]

app.command()(check)
app.command()(compare)
app.command()(publish)
app.command()(reproduce)
app.command()(attest)
app.command()(collect)
app.command()(summary)
app.command("gitlab-pipeline")(gitlab_pipeline)
app.command("pin")(pin_command)
cases_app.command()(diff)


def main() -> None:
    """Run the command; our own errors become one clear message and their exit status."""
    try:
        app()
    except GtError as error:
        print(f"gt: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.status)


def _chosen(folder: Path, selection: Selection) -> list[Case]:
    return select(files.load(folder), selection)


@app.command()
def generate(
    official: Official = False,
    case_ids: CaseIds = "",
    source_group: SourceGroup = "",
    cases: CasesDir = OURS,
    models: Annotated[
        Path | None, typer.Option(help="DIR/<owner>/<name> stands in for repositories, DIR/inputs/<file> for inputs.")
    ] = None,
    engine: Engine = None,
    on: On = None,
    per_case: PerCase = False,
    previous: Annotated[Path | None, typer.Option(help="An earlier artifact; what it holds is not made again.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Make every case again, whatever is there already.")] = False,
    twice: Annotated[
        bool, typer.Option("--verify", help="Make every case twice, and say in the manifest whether it is the same.")
    ] = False,
    only_finished: Annotated[
        bool, typer.Option("--only-finished", help="Give what is finished already; fetch nothing, make nothing.")
    ] = False,
    skip_preflight: Annotated[
        bool, typer.Option("--skip-preflight", help="Do not look first whether models and disk are there for the run.")
    ] = False,
    output: Annotated[Path, typer.Option("-o", "--output", help="The artifact's directory.")] = Path("gt"),
) -> None:
    """Generate on this machine: images and manifest.json in the output directory.

    Exits with 0 when every case is there, 1 when some failed or were not the same twice (the artifact is whole all the
    same), 2 on bad input.
    """
    for folder in (models, previous, engine):
        if folder is not None and not folder.is_dir():
            raise GtError(f"{folder} is no directory")
    selection = Selection(official, case_ids, source_group)
    chosen = _chosen(cases, selection)
    here = host.this_host()
    host.place(chosen, here, on)
    run = Generation(selection, chosen, jobs.plan(chosen, per_case=per_case, on=on), here, on, fresh, twice)
    places = on_machine.Places(models, previous, engine=engine)
    console = Console(stderr=True)
    if only_finished:
        outcome = on_machine.finished(run, places)
    elif console.is_terminal:
        with Bars(console, len(chosen) * (2 if twice else 1)) as bars:
            outcome = on_machine.generate(run, places, bars.show, quiet=True, preflight=not skip_preflight)
    else:
        outcome = on_machine.generate(run, places, lambda _: None, quiet=False, preflight=not skip_preflight)
    said = artifact.write(output, outcome.manifest, outcome.results)
    raise typer.Exit(_report(outcome, output, said))


def _report(outcome: on_machine.Outcome, output: Path, said: Sequence[str]) -> int:
    records = outcome.manifest.cases
    bad = verdicts.bad(outcome.manifest)
    unfinished = sum(record.status != "ok" for record in records.values())
    made, total = len(outcome.manifest.run.made), len(records)
    for line in [*said, *(f"{name}: {reason}" for name, reason in bad.items())]:
        typer.echo(f"gt: {line}", err=True)
    reused = total - made - unfinished
    typer.echo(
        f"gt: {total - unfinished} of {total} cases are in {output} ({made} made now, {reused} made before)", err=True
    )
    return 130 if outcome.interrupted else 1 if bad else 0


@app.command()
def plan(
    official: Official = False,
    case_ids: CaseIds = "",
    source_group: SourceGroup = "",
    cases: CasesDir = OURS,
    on: On = None,
    per_case: PerCase = False,
) -> None:
    """Show what would run: case, model, GPU kind, host and expected time."""
    planned = _planned(official, case_ids, source_group, cases, on, per_case)
    here = host.this_host()

    def where(job: jobs.Job) -> str:
        fits = job.gpu in (host.ANY, host.CPU, here.kind) and job.gpus <= max(1, here.gpus)
        return "this machine" if fits else f"none here ({job.runner_label} in CI)"

    table = plan_table(planned, where)
    console = Console()
    console.print(table) if console.is_terminal else Console(width=200).print(table)


@app.command()
def matrix(
    official: Official = False,
    case_ids: CaseIds = "",
    source_group: SourceGroup = "",
    cases: CasesDir = OURS,
    on: On = None,
    per_case: PerCase = False,
) -> None:
    """Print the jobs as CI matrix JSON: {"include": [...]}."""
    typer.echo(json.dumps(jobs.matrix(_planned(official, case_ids, source_group, cases, on, per_case))))


def _planned(
    official: bool, case_ids: str, source_group: str, cases: Path, on: str | None, per_case: bool
) -> list[jobs.Job]:
    chosen = _chosen(cases, Selection(official, case_ids, source_group))
    host.known(on)
    return jobs.plan(chosen, per_case=per_case, on=on)


@app.command()
def verdict(
    artifact: Annotated[Path, typer.Option(help="The artifact's directory.")] = Path("gt"),
) -> None:
    """Exit with 1, and a line for each, if a selected case failed or is missing."""
    problems = verdicts.verdict(artifact)
    for problem in problems:
        typer.echo(f"gt: {problem}", err=True)
    if problems:
        raise typer.Exit(1)
    typer.echo(f"gt: {artifact} is whole")


@app.command("concurrency-key")
def concurrency_key(
    ref: Ref = "",
    output_name: OutputName = "",
    case_ids: CaseIds = "",
    official_case_ids: Annotated[str, typer.Option(help="The workflow's second filter, for official cases.")] = "",
    source_group: SourceGroup = "",
    official: Official = False,
    publish_target_dir: TargetDir = "",
    all_inputs: Annotated[
        bool, typer.Option("--all-inputs", help="A key over all inputs, not the first one set.")
    ] = False,
) -> None:
    """Print the key of a CI run: a newer run of the same key cancels the older one."""
    inputs = workflow.WorkflowInputs(
        ref, output_name, case_ids, official_case_ids, source_group, official, publish_target_dir
    )
    typer.echo(workflow.concurrency_key(inputs, all_inputs=all_inputs))


@app.command("publish-target")
def publish_target(official: Official = False, publish_target_dir: TargetDir = "") -> None:
    """Print the directory of the data repository that a run publishes to."""
    inputs = workflow.WorkflowInputs(official=official, publish_target_dir=publish_target_dir)
    typer.echo(workflow.publish_target(inputs))


@cases_app.command("list")
def list_cases(cases: CasesDir = OURS, source_group: SourceGroup = "", native: Native = False) -> None:
    """List the ids of all cases, or of a group."""
    known = files.load(cases)
    listed = known.native if native else known.cases
    group = source_group.strip()
    groups = (known.native_groups if native else known.groups) | {case.source for case in listed.values()}
    if group and group != "all" and group not in groups:
        raise SelectionError(f"no group is named {group!r}; {near(group, groups)}")
    for case in listed.values():
        if group in ("", "all", case.source, *case.spec.groups):
            typer.echo(case.id)


@cases_app.command()
def show(case_id: str, cases: CasesDir = OURS, native: Native = False) -> None:
    """Print one case, whole, as YAML."""
    case = _one(files.load(cases), case_id, native=native)
    typer.echo(yaml.safe_dump(case.data(), sort_keys=False, allow_unicode=True), nl=False)


def _one(known: Catalogue, case_id: str, *, native: bool) -> Case:
    listed, other = (known.native, known.cases) if native else (known.cases, known.native)
    unavailable = known.unavailable_native if native else known.unavailable
    if case_id in listed:
        return listed[case_id]
    if case_id in unavailable:
        raise SelectionError(
            f"case {case_id!r} has no {'native' if native else 'official'} reference: {unavailable[case_id]}"
        )
    if case_id in other:
        raise SelectionError(f"case {case_id!r} is {'official; leave out' if native else 'native; add'} --native")
    raise SelectionError(f"no case is named {case_id!r}; {near(case_id, listed)}")


@cases_app.command()
def validate(cases: CasesDir = OURS) -> None:
    """Check every case file; exits with 2 and all mistakes, each with file, line, case and key."""
    known = files.load(cases)
    found = [*known.cases.values(), *known.native.values()]
    typer.echo(f"gt: {len(found)} cases of {', '.join(sorted({case.source for case in found}))} are valid")

"""Verbs that say what would run, and what a CI run needs before it starts."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Annotated

from rich.console import Console
from rich.table import Table
from typing_extensions import Doc

from ..catalogue import files
from ..catalogue.fields import ALL
from ..catalogue.files import Catalogue
from ..catalogue.gpus import ANY, CPU, suits
from ..catalogue.model import Case
from ..catalogue.selection import Selection, select
from ..errors import printable
from ..plan import host, jobs, slurm, workflow
from ..plan.gitlab import pipeline
from ..plan.matrix import GITHUB_LIMIT, data_of, grouped, grouping
from ..run.on_machine import Places
from ..run.on_slurm.generate import FOLDER
from ..run.on_slurm.sending import COMMAND
from ..words import at_least, counted
from .answers import Answer, say
from .choices import GpuKind
from .options import (
    OURS,
    CaseIds,
    Cases,
    MatrixFile,
    Official,
    On,
    PerCase,
    Ref,
    SlurmSite,
    SourceGroup,
    TargetDir,
    Typed,
    read_text,
    site_of,
)

SkipPreflight = Annotated[bool, Doc("Do not look first whether models are open to the token and fit onto the disk.")]
NARROW = 80  # columns of a table: the least, and where nothing says how wide the screen is


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The options that select cases, and say where they run."""

    official: Official = False
    case_ids: CaseIds = ()
    source_group: SourceGroup = ALL
    cases: Cases = OURS
    on: On = GpuKind.NEEDED.value
    per_case: PerCase = False

    @property
    def selection(self) -> Selection:
        """In the planner's words."""
        return Selection(self.official, self.case_ids, self.source_group)

    @property
    def kind(self) -> str | None:
        """The GPU kind that all cases are moved to. Raises HostError for one that is not known."""
        kind = None if self.on == GpuKind.NEEDED.value else self.on
        host.check_kind(kind)
        return kind

    @cached_property
    def catalogue(self) -> Catalogue:
        """All cases. Raises CatalogueError for mistakes in their files."""
        return files.load(self.cases.path)

    def select(self) -> list[Case]:
        """The selected cases. Raises SelectionError."""
        return select(self.catalogue, self.selection)

    def jobs(self, cases: list[Case]) -> list[jobs.Job]:
        """The jobs of these cases."""
        return jobs.plan(cases, per_case=self.per_case, on=self.kind)


@dataclass(frozen=True, kw_only=True)
class Plan(Chosen):
    """Show what would run: case, model, GPU kind and expected minutes, and which host has the GPU.

    ~ stands before minutes that nobody measured.
    """

    def run(self) -> Answer:
        """The table, as wide as the terminal, and where each kind of GPU is."""
        work, text = self.jobs(self.select()), io.StringIO()
        width = max(NARROW, shutil.get_terminal_size().columns)
        Console(file=text, width=width).print(_table(work))
        total = f"{counted(sum(len(job.cases) for job in work), 'case')} in {counted(len(work), 'job')}"
        lines = [total, "", *map(str.rstrip, text.getvalue().splitlines()), "", *_places(work, self.place)]
        return Answer("\n".join(lines))

    def place(self, job: jobs.Job) -> str:
        """Where a job would run."""
        machine = host.this_host()
        fits = (job.gpu == CPU or suits(job.gpu, machine.kind)) and job.gpus <= max(1, machine.gpus)
        return "this machine" if fits else f"none here ({job.runner_label} in CI)"


class PlanOnEngine(Plan):
    """The module's process does not see the engine's GPUs."""

    def place(self, job: jobs.Job) -> str:
        """Where a job would run."""
        return "this engine" if job.gpu in (ANY, CPU) else f"this engine, if it has {job.gpu}"


def _table(work: list[jobs.Job]) -> Table:
    """A row for each case, those of a job together. It fits into 80 columns: long names go on in a second line."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("case", overflow="fold")
    table.add_column("model", overflow="fold")
    table.add_column("GPU", no_wrap=True)
    table.add_column("min", justify="right", no_wrap=True)
    for job in work:
        for case in job.cases:
            minutes = f"{'~' if case.assumed else ''}{at_least(case.spec.needs.minutes, 1):.10g}"
            table.add_row(case.id, case.model, _gpu(job), minutes)
    return table


def _gpu(job: jobs.Job) -> str:
    return job.gpu if job.gpus == 1 else f"{job.gpus} x {job.gpu}"


def _places(work: list[jobs.Job], place: Callable[[jobs.Job], str]) -> Iterator[str]:
    """For each kind of GPU: how much there is to do, and where it would run, as `place` says."""
    kinds: dict[str, list[jobs.Job]] = {}
    for job in work:
        kinds.setdefault(_gpu(job), []).append(job)
    for kind, group in kinds.items():
        cases, minutes = sum(len(job.cases) for job in group), sum(job.minutes for job in group)
        yield f"{kind}: {counted(cases, 'case')}, {at_least(minutes):.0f} min; {place(group[0])}"


@dataclass(frozen=True, kw_only=True)
class Matrix(Chosen):
    """Print the jobs as CI matrix JSON: {"include": [...]}."""

    limit: Annotated[int, Doc("The most entries; the shortest jobs of one runner share an entry.")] = GITHUB_LIMIT

    def run(self) -> Answer:
        """One line of JSON."""
        work = self.jobs(self.select())
        entries = grouped(work, self.limit)
        note = grouping(work, entries, self.limit)
        if note is not None:
            say(note)
        return Answer(json.dumps(data_of(entries)))


@dataclass(frozen=True, kw_only=True)
class MatrixOnMachine(Matrix):
    """The scripts that go to sbatch need to know where the nodes find this environment and its cache."""

    slurm: Annotated[
        str | None,
        Doc("Print what gt generate --slurm sends to sbatch instead: a script for each array."),
        Typed(value="PARTITION"),
    ] = None
    slurm_site: SlurmSite = None

    def run(self) -> Answer:
        """One line of JSON, or scripts."""
        if self.slurm is None:
            return super().run()
        site, folder = site_of(self.slurm_site), Places().cache / FOLDER
        arrays = slurm.arrays(self.jobs(self.select()), site.most_tasks)
        return Answer("\n".join(slurm.script(each, site, self.slurm, folder / "ARRAY", COMMAND) for each in arrays))


@dataclass(frozen=True, kw_only=True)
class ConcurrencyKey:
    """Print the key of a CI run: a newer run of the same key cancels the older one."""

    ref: Ref = ""
    output_name: Annotated[str, Doc("Name of the run's output.")] = ""
    case_ids: Annotated[str, Doc("The workflow's filter, as it was typed.")] = ""
    official_case_ids: Annotated[str, Doc("The workflow's filter of official cases, as it was typed.")] = ""
    source_group: Annotated[str, Doc("The workflow's group, as it was typed.")] = ""
    official: Official = False
    publish_target_dir: TargetDir = ""
    all_inputs: Annotated[bool, Doc("A key over all inputs, not over the first one that is set.")] = False

    def run(self) -> Answer:
        """The key."""
        names = (each.name for each in fields(workflow.WorkflowInputs))
        inputs = workflow.WorkflowInputs(**{name: getattr(self, name) for name in names})
        key = workflow.concurrency_key(inputs, all_inputs=self.all_inputs)
        return Answer(printable(key))  # one line: a second one would be another output of the CI step that keeps it


@dataclass(frozen=True, kw_only=True)
class PublishTarget:
    """Print the directory of the data repository that a run publishes to."""

    official: Official = False
    publish_target_dir: TargetDir = ""

    def run(self) -> Answer:
        """The directory."""
        return Answer(workflow.publish_target(self.publish_target_dir, official=self.official))


@dataclass(frozen=True, kw_only=True)
class GitlabPipeline:
    """Print the pipeline that GitLab generates with: a job for each entry of the matrix, and what follows them."""

    matrix: MatrixFile
    tag: Annotated[str, Doc("Tag of the runners for what needs no GPU.")]

    def run(self) -> Answer:
        """YAML."""
        return Answer(pipeline(read_text(self.matrix), self.tag))

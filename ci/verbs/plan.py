"""Verbs that say what would run, and what a CI run needs before it starts."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
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
from ..plan import host, jobs, workflow
from ..plan.gitlab import pipeline
from ..plan.jobs import GITHUB_LIMIT, grouped, grouping
from .choices import GpuKind
from .options import OURS, Answer, CaseIds, Cases, Official, On, PerCase, Ref, SourceGroup, TargetDir, read_text, say

NARROW, WIDE = 80, 180  # columns of a table: the least, and where nothing says how wide the screen is


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
        return Selection(self.official, " ".join(self.case_ids), self.source_group)

    @property
    def kind(self) -> str | None:
        """The GPU kind that all cases are moved to. Raises HostError for one that is not known."""
        kind = None if self.on == GpuKind.NEEDED.value else self.on
        host.known(kind)
        return kind

    @cached_property
    def catalogue(self) -> Catalogue:
        """All cases. Raises CatalogueError for mistakes in their files."""
        return files.load(self.cases.path)

    def select(self) -> list[Case]:
        """The selected cases. Raises SelectionError."""
        return select(self.catalogue, self.selection)

    def jobs(self) -> list[jobs.Job]:
        """The jobs of the selected cases."""
        return jobs.plan(self.select(), per_case=self.per_case, on=self.kind)


@dataclass(frozen=True, kw_only=True)
class Plan(Chosen):
    """Show what would run: case, model, GPU kind, host and expected minutes."""

    def run(self) -> Answer:
        """Print the table as wide as the terminal."""
        text = io.StringIO()
        width = max(NARROW, shutil.get_terminal_size().columns) if sys.stdout.isatty() else WIDE
        Console(file=text, width=width).print(_table(self.jobs(), self.place))
        return Answer(text.getvalue())

    def place(self, job: jobs.Job) -> str:
        """Where a job would run."""
        here = host.this_host()
        fits = (job.gpu == CPU or suits(job.gpu, here.kind)) and job.gpus <= max(1, here.gpus)
        return "this machine" if fits else f"none here ({job.runner_label} in CI)"


class PlanOnEngine(Plan):
    """The module's process does not see the engine's GPUs."""

    def place(self, job: jobs.Job) -> str:
        """Where a job would run."""
        return "this engine" if job.gpu in (ANY, CPU) else f"this engine, if it has {job.gpu}"


def _table(planned: list[jobs.Job], place: Callable[[jobs.Job], str]) -> Table:
    """A row for each case: job, case, model, GPU kind, host (as `place` says) and expected minutes."""
    table = Table(title=f"{sum(len(job.cases) for job in planned)} cases in {len(planned)} jobs")
    for column in ("job", "case", "model", "GPU", "host", "minutes"):
        table.add_column(column, justify="right" if column == "minutes" else "left", overflow="fold")
    for job in planned:
        gpu = job.gpu if job.gpus == 1 else f"{job.gpus} x {job.gpu}"
        for case in job.cases:
            minutes = f"{case.spec.needs.minutes:g}{' (assumed)' if case.assumed else ''}"
            table.add_row(job.name, case.id, case.model, gpu, place(job), minutes)
        table.add_section()
    return table


@dataclass(frozen=True, kw_only=True)
class Matrix(Chosen):
    """Print the jobs as CI matrix JSON: {"include": [...]}."""

    limit: Annotated[int, Doc("The most entries; the shortest jobs of one runner share an entry.")] = GITHUB_LIMIT

    def run(self) -> Answer:
        """One line of JSON."""
        planned = self.jobs()
        entries = grouped(planned, self.limit)
        note = grouping(planned, entries, self.limit)
        if note is not None:
            say(note)
        return Answer(json.dumps(jobs.matrix(entries)))


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
        inputs = workflow.WorkflowInputs(
            self.ref,
            self.output_name,
            self.case_ids,
            self.official_case_ids,
            self.source_group,
            self.official,
            self.publish_target_dir,
        )
        return Answer(workflow.concurrency_key(inputs, all_inputs=self.all_inputs))


@dataclass(frozen=True, kw_only=True)
class PublishTarget:
    """Print the directory of the data repository that a run publishes to."""

    official: Official = False
    publish_target_dir: TargetDir = ""

    def run(self) -> Answer:
        """The directory."""
        inputs = workflow.WorkflowInputs(official=self.official, publish_target_dir=self.publish_target_dir)
        return Answer(workflow.publish_target(inputs))


@dataclass(frozen=True, kw_only=True)
class GitlabPipeline:
    """Print the pipeline that GitLab generates with: a job for each entry of the matrix, and what follows them."""

    matrix: Annotated[Path, Doc("The CI matrix, as gt matrix printed it.")]
    tag: Annotated[str, Doc("Tag of the runners for what needs no GPU.")]

    def run(self) -> Answer:
        """YAML."""
        return Answer(pipeline(read_text(self.matrix), self.tag))

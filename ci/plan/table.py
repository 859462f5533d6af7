"""The plan as a table for a person."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rich.table import Table

from .jobs import Job


def plan_table(jobs: Iterable[Job], where: Callable[[Job], str]) -> Table:
    """A row for each case: job, case, model, GPU kind, host (as `where` says) and expected minutes."""
    jobs = list(jobs)
    table = Table(title=f"{sum(len(job.cases) for job in jobs)} cases in {len(jobs)} jobs")
    for column in ("job", "case", "model", "GPU", "host", "minutes"):
        table.add_column(column, justify="right" if column == "minutes" else "left", overflow="fold")
    for job in jobs:
        gpu = job.gpu if job.gpus == 1 else f"{job.gpus} x {job.gpu}"
        for case in job.cases:
            minutes = f"{case.spec.needs.minutes:g}{' (assumed)' if case.assumed else ''}"
            table.add_row(job.name, case.id, case.model, gpu, where(job), minutes)
        table.add_section()
    return table

"""What stands in a run's way, found before anything is downloaded or a GPU is used: all of it at once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ..contract import Case, Job
from ..errors import AccessError, InputError, RunnerError, SpaceError, VariantError
from ..sources import refusals
from ..store import Store, case_key
from ..tasks import Run
from .case_files import identify
from .folders import Folders
from .hub import Snapshot, commit_of
from .weights import check_space, snapshots


def obstacles(run: Run) -> list[str]:
    """Models that are closed or lack a variant, inputs that are no images or not the pinned ones, too small a disk.

    Whatever else may go wrong is the failure of one case, and leaves the others delivered.
    """
    folders = Folders.of(run)
    store = None if run["fresh"] else Store(Path(run["store"]))
    lines: list[str] = []
    lacking: dict[tuple[str, str], Snapshot] = {}
    of_serving: dict[tuple[str, str], Snapshot] = {}  # a serving engine fetches what it likes: no space is counted
    for job in run["jobs"]:
        for case in job["cases"]:
            with _noted(lines):
                for snapshot in _lacking(case, job, folders, store):
                    group = of_serving if "engine" in case else lacking
                    group.setdefault((snapshot.repo, snapshot.commit), snapshot)
    looked_up = []
    for snapshot in [*of_serving.values(), *lacking.values()]:
        with _noted(lines):
            snapshot.look_up()
            looked_up.append(snapshot)
    if not run.get("elsewhere"):
        with _noted(lines):
            check_space([snapshot for snapshot in looked_up if snapshot in lacking.values()])
    return list(dict.fromkeys(lines))


def _lacking(case: Case, job: Job, folders: Folders, store: Store | None) -> list[Snapshot]:
    """The repositories that a case needs and this machine does not have; none for a case that is finished.

    Raises RunnerError for a case that cannot be run here, before the hub is asked.
    """
    refusals.check(case, job["device"])
    identities = identify(case, folders)
    if store is not None and store.find(case_key(case, identities, job)) is not None:
        return []
    if "engine" in case:
        model = case["model"]
        return [Snapshot(model, commit_of(model["repo"], model.get("revision")), folders)]
    return [snapshot for snapshot in snapshots(case, folders, identities["repositories"]) if not snapshot.complete()]


@contextlib.contextmanager
def _noted(lines: list[str]) -> Iterator[None]:
    """Add what stands in the way to `lines`; any other error is for the run itself to find."""
    try:
        yield
    except (AccessError, InputError, SpaceError, VariantError) as error:
        lines.extend(str(error).splitlines())
    except RunnerError:
        return

"""What stands in a run's way, found before anything is downloaded or a GPU is used: all of it at once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..contract import Case, Job
from ..errors import AccessError, FetchError, InputError, SpaceError
from ..store import Store, case_key
from . import case_files
from .hub import Snapshot, commit_of
from .weights import check_space, snapshots


def obstacles(run: Any) -> list[str]:
    """Models that are closed to the user, inputs that are no images or not the pinned ones, too small a disk.

    Whatever else may go wrong is the failure of one case, and leaves the others delivered.
    """
    places = case_files.Places.of(run)
    store = Store(Path(run["store"]))
    found: list[str] = []
    lacking: dict[tuple[str, str], Snapshot] = {}
    of_engines: dict[tuple[str, str], Snapshot] = {}  # which fetch what they like of them: no space is counted
    for job in run["jobs"]:
        for case in job["cases"]:
            with contextlib.suppress(FetchError), _told(found):
                for snapshot in _lacking(case, job, places, None if run["fresh"] else store):
                    known = of_engines if "engine" in case else lacking
                    known.setdefault((snapshot.repo, snapshot.commit), snapshot)
    for snapshot in of_engines.values():
        _look_up(snapshot, found)
    looked_up = [snapshot for snapshot in lacking.values() if _look_up(snapshot, found)]
    if not run.get("elsewhere"):
        with _told(found):
            check_space(looked_up)
    return list(dict.fromkeys(found))


def _lacking(case: Case, job: Job, places: case_files.Places, store: Store | None) -> list[Snapshot]:
    """The repositories that a case needs and this machine does not have; none for a case that is finished."""
    identified = case_files.identify(case, places)
    if store is not None and store.find(case_key(case, identified, job)) is not None:
        return []
    if "engine" in case:
        model = case["model"]
        return [Snapshot(model, commit_of(model["repo"], model.get("revision")), places)]
    commits = {name: repository["commit"] for name, repository in identified["repositories"].items()}
    return [snapshot for snapshot in snapshots(case, places, commits) if not snapshot.complete()]


def _look_up(snapshot: Snapshot, found: list[str]) -> bool:
    with contextlib.suppress(FetchError), _told(found):
        snapshot.look_up()
        return True
    return False


@contextlib.contextmanager
def _told(found: list[str]) -> Iterator[None]:
    try:
        yield
    except (AccessError, InputError, SpaceError) as error:
        found.extend(str(error).splitlines())

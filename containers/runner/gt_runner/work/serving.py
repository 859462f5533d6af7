"""Runs the cases of a serving engine: each is one run of its command, which starts, asks and stops the engine itself.

The command fetches what it likes and listens where it likes, so nothing keeps it off the network. Its files are kept as
they are.
"""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from gt_pictures import names
from gt_pictures.errors import PictureError
from gt_pictures.reading import read, twins

from .. import environment
from ..contract import Case, Prepared
from ..errors import CommandError
from ..events import Phase
from ..supervise import reaper
from ..supervise.process import ending
from . import noise, record
from .base import Worker
from .saving import Save

ISOLATION = "none"  # in a record


class ServingWorker(Worker):
    """One process of ours for the commands of many cases."""

    def phase(self, case: Case) -> Phase:  # noqa: ARG002  # there is only one
        """What a case failed in."""
        return "generate"

    def load(self, prepared: Prepared) -> None:
        """Nothing: each command loads for itself."""

    def make(self, prepared: Prepared) -> Save:
        """Run the command of one case."""
        case = prepared["case"]
        clock = record.Clock()
        self._emit({"event": "phase", "case": case["id"], "phase": "generate"})
        with self._store.begun() as out:
            self._command(case, Path(prepared["fetched"]["code"] or "."), out)
        clock.lap("generate")
        seconds = {"fetch": prepared["fetch_seconds"], "load": 0.0, **clock.seconds}
        return partial(self._save, prepared, out, seconds)

    def _save(self, prepared: Prepared, out: Path, seconds: dict[str, float]) -> None:
        """Keep the files that are published."""
        case = prepared["case"]
        clock = record.Clock()
        self._emit({"event": "phase", "case": case["id"], "phase": "save"})
        try:
            with self._store.begun() as folder:
                files = [_copied(out / name, folder) for name in _complete(case, out)]
                entry = self._record(prepared, files)
                clock.lap("save")
                entry["seconds"] = {**seconds, **clock.seconds}
                self._store.finish(folder, entry)
        finally:
            shutil.rmtree(out, ignore_errors=True)
        self._emit({"event": "done", "case": case["id"], "record": entry})

    def _record(self, prepared: Prepared, files: list[Path]) -> record.Record:
        places = {"engine": "<engine>", "out": "<out>"}
        return record.finished(prepared, {"command": arguments(prepared["case"], places)}, [], files) | {
            "initial_latent": noise.unknown("the serving engine draws it, in a process of its own"),
            "image": self._job.get("image"),
            "isolation": ISOLATION,
            "gpu": record.gpu(self._job, environment.gpu),
            "peak_memory": record.peak_memory(None, resource.RUSAGE_CHILDREN),
            "process": record.process(self._task["nonce"]),
        }

    def _command(self, case: Case, checkout: Path, out: Path) -> None:
        places = {"engine": str(checkout), "out": str(out)}
        variables = {name: text.format_map(places) for name, text in case["engine"].get("environment", {}).items()}
        folder = checkout / case["engine"].get("folder", ".")
        status = reaper.run(arguments(case, places), folder, os.environ | variables)
        if status:
            raise CommandError(f"the serving engine's command {ending(status)}")


def arguments(case: Case, places: Mapping[str, str]) -> list[str]:
    """The command of a case; `places` are the folders of its checkout (`engine`) and of its files (`out`)."""
    values = {"case": case["id"], "suite": case["suite"], "model": case["model"]["repo"], **places}
    templates = [*case["engine"]["command"], *case.get("arguments", [])]
    return [template.format_map(values) for template in templates]


def _complete(case: Case, out: Path) -> list[str]:
    """The names of the case's files. Raises CommandError where one of them is not there, or not the only one."""
    targets, files = names.of(case["id"], case["output"]), sorted(path.name for path in out.iterdir())
    missing = [name for name in targets if not (out / name).is_file()]
    if missing:
        raise CommandError(
            f"the serving engine's command made no {', '.join(missing)}; it made {', '.join(files) or 'nothing'}"
        )
    for same in twins(files).values():
        if set(same) & set(targets):
            raise CommandError(
                f"the serving engine's command made {' and '.join(same)}: it is not known which one counts"
            )
    return targets


def _copied(path: Path, folder: Path) -> Path:
    """A copy, once it is known to be a plain image of the format that its name says."""
    try:
        read(path)
    except PictureError as error:
        raise CommandError(f"{path.name} of the serving engine: {error}") from error
    return shutil.copyfile(path, folder / path.name)

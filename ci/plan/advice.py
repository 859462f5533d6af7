"""What a machine could run of the catalogue: said where nothing is selected, or nothing that runs there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..catalogue.fields import SMOKE
from ..catalogue.files import Catalogue
from ..catalogue.model import Case
from ..catalogue.selection import Selection
from ..words import counted
from .host import Host, lack

MOST_NEEDS = 3  # in one line


def offers(catalogue: Catalogue, host: Host) -> str:
    """What each way to select cases would run on this machine."""
    gpus = f"{host.gpus} x {host.gpu_name} ({host.kind})" if host.gpus else "no GPU"
    return "\n".join([f"name what to make; this machine has {gpus}:", *_ways(catalogue, host)])


def instead(catalogue: Catalogue, selection: Selection, host: Host) -> list[str]:
    """What else runs on this machine, where the selection does not."""
    smoke, official, _ = _parts(catalogue)
    count = 0 if selection.official else _fitting(official, host)
    lines = [f"--official selects {counted(count, 'case')} that can run here"] if count else []
    return [*lines, "--source-group smoke tries everything out, and needs no GPU"] if smoke else lines


def _parts(catalogue: Catalogue) -> tuple[list[Case], list[Case], list[Case]]:
    """The cases for trying out, the official and the native ones."""
    cases = catalogue.cases.values()
    smoke = [case for case in cases if case.source == SMOKE]
    return (
        smoke,
        [case for case in cases if case.source != SMOKE and not case.by_name],
        [case for case in catalogue.native.values() if not case.by_name],
    )


def _ways(catalogue: Catalogue, host: Host) -> Iterator[str]:
    smoke, official, native = _parts(catalogue)
    if smoke:
        yield _way("--source-group smoke", f"{counted(len(smoke), 'case')} for trying out; no GPU, no download")
    if official:
        share, needs = _share(official, host)
        yield _way("--official", share)
        if needs:
            yield _way("", f"{needs}, or --on any{'' if host.gpus else ', for hours'}")
    if native:
        share, needs = _share(native, host)
        repos = sorted({case.serving.repo for case in native if case.serving is not None})
        yield _way("--engine DIR", f"{share} with {' or '.join(repos)}")
        if needs:
            yield _way("", needs)
    yield "`gt plan` with the same options lists the cases; `gt generate -h` explains all"


def _way(options: str, result: str) -> str:
    return f"  {options:<23}{result}"


def _share(cases: Sequence[Case], host: Host) -> tuple[str, str]:
    """How many of the cases run here, and what the others need."""
    count = _fitting(cases, host)
    needs = sorted({need for case in cases if (need := lack(case, host, None))})
    others = " or ".join([*needs[:MOST_NEEDS], *(["others"] if needs[MOST_NEEDS:] else [])])
    return f"{counted(count, 'case', of=len(cases))} can run here", f"the rest needs {others}" if needs else ""


def _fitting(cases: Iterable[Case], host: Host) -> int:
    return sum(lack(case, host, None) is None for case in cases)

"""The manifest of published GT, which describes every published file: what was there, and what a run adds to it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..artifact.manifest import Accepted, Manifest, Publication, PublishedCase, alike, run_id
from ..artifact.records import CaseRecord, RunRecord, instant, timeless
from ..errors import PublishError


def merge(
    published: Manifest | None,
    new: Manifest,
    names: Collection[str],
    accepted: Mapping[str, Accepted] | None = None,
    retired: Collection[str] = (),
) -> Manifest | None:
    """The manifest of a folder after the cases `names` of a new one came in and `retired` ones went; None if empty.

    A case that is published already, and of which the new manifest says the same but for times, stays as it is: its
    files were not made by this run, as far as a reader is concerned. Raises PublishError where two cases have one file.
    """
    cases = {} if published is None else _finished(published)
    origins = {} if published is None else _origins(published)
    arrivals = _origins(new)
    for name in names:
        record, before = new.cases[name], cases.get(name)
        if before is not None and _says_the_same(record, before):
            continue
        origin = arrivals[name]
        acceptance = (accepted or {}).get(name) or origin.accepted
        if acceptance is None and before is not None and before.files == record.files:
            acceptance = origins[name].accepted
        cases[name], origins[name] = record, PublishedCase(run=origin.run, accepted=acceptance)
    cases = {name: cases[name] for name in sorted(cases) if name not in retired}
    if not cases:
        return None
    _refuse_shared_files(cases)
    origins = {name: origins[name] for name in cases}
    runs = _runs([manifest for manifest in (published, new) if manifest is not None], origins)
    newest = max(runs, key=lambda run: (instant(runs[run].ended), run))
    return Manifest(run=runs[newest], publication=Publication(runs=runs, cases=origins), cases=cases)


def _finished(manifest: Manifest) -> dict[str, CaseRecord]:
    return {name: record for name, record in manifest.cases.items() if record.status == "ok"}


def _origins(manifest: Manifest) -> dict[str, PublishedCase]:
    if manifest.publication is not None:
        return dict(manifest.publication.cases)
    origin = PublishedCase(run=run_id(manifest.run))
    return dict.fromkeys(_finished(manifest), origin)


def _says_the_same(new: CaseRecord, old: CaseRecord) -> bool:
    """Whether a record adds nothing to one that is published; one that was not made twice takes nothing back."""

    def content(record: CaseRecord) -> dict[str, object]:
        fields = timeless(record)
        if new.reproducible is None:
            del fields["reproducible"], fields["verification"]
        elif fields["verification"]:
            del fields["verification"]["process"]
        return fields

    return content(new) == content(old)


def _runs(manifests: Collection[Manifest], origins: Mapping[str, PublishedCase]) -> dict[str, RunRecord]:
    """Every run that a case comes from, naming just those cases."""
    records: dict[str, list[RunRecord]] = {}
    for manifest in manifests:
        publication = manifest.publication
        runs = publication.runs if publication is not None else {run_id(manifest.run): manifest.run}
        for identity, run in runs.items():
            records.setdefault(identity, []).append(run)
    cases: dict[str, list[str]] = {}
    for name in sorted(origins):
        cases.setdefault(origins[name].run, []).append(name)
    return {identity: _trimmed(records[identity], cases[identity]) for identity in sorted(cases)}


def _trimmed(records: Collection[RunRecord], names: list[str]) -> RunRecord:
    run = next(iter(records))
    news = {name for record in records for name in record.made}
    selection = run.selection.model_copy(update={"case_ids": names})
    return run.model_copy(update={"selection": selection, "made": [name for name in names if name in news], "kept": {}})


def _refuse_shared_files(cases: Mapping[str, CaseRecord]) -> None:
    advice = "rename one of the cases, or retire the other with --prune"
    if twins := alike(cases):
        raise PublishError(f"{twins[0]} and {twins[1]} are one id where upper and lower case are the same; {advice}")
    owners: dict[str, str] = {}
    for name, record in cases.items():
        for file in record.files:
            owner = owners.setdefault(file.name.casefold(), name)
            if owner != name:
                raise PublishError(f"{file.name} is the file of both {owner} and {name}; {advice}")

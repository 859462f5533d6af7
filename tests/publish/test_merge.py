"""The promises of the published manifest: it describes every published file, and loses nothing of another run."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.artifact.manifest import Accepted, Manifest, run_id
from ci.artifact.records import FileRecord, ProcessRecord
from ci.errors import PublishError
from ci.publish.merge import merge
from tests.support.records import manifest

NAMES = ("a", "b", "c", "d", "e")
Contents = Mapping[str, int]


def made(contents: Contents, ended: int = 0, process: str = "p") -> Manifest:
    """A run's manifest: the content of each case's file as a number; a negative one failed."""
    base = manifest({name: "ok" if content >= 0 else "failed" for name, content in contents.items()})
    cases = {
        name: record.model_copy(
            update={
                "files": [_file(name, contents[name])] if record.status == "ok" else [],
                "process": ProcessRecord(id=process, started="2026-01-01T00:00:00+00:00", nonce=None),
            }
        )
        for name, record in base.cases.items()
    }
    run = base.run.model_copy(update={"ended": f"2026-01-01T00:00:{ended:02}+00:00", "made": list(contents)})
    return base.model_copy(update={"run": run, "cases": cases})


def _file(name: str, content: int) -> FileRecord:
    return FileRecord(name=f"{name}_1gpu.png", size=content, sha256=f"{content:064x}", width=1, height=1)


def ok(run: Manifest) -> list[str]:
    return [name for name, record in run.cases.items() if record.status == "ok"]


def published(*runs: Manifest) -> Manifest | None:
    """What a folder's manifest says after these runs were published one after the other."""
    held: Manifest | None = None
    for run in runs:
        held = merge(held, run, ok(run))
    return held


def text(held: Manifest | None) -> str:
    return "" if held is None else held.text()


def runs(names: tuple[str, ...] = NAMES) -> st.SearchStrategy[Manifest]:
    contents = st.dictionaries(st.sampled_from(names), st.integers(-1, 3), min_size=1)
    return st.builds(made, contents, st.integers(0, 59))


@given(st.lists(runs(), max_size=4), st.sets(st.sampled_from(NAMES)))
def test_it_describes_every_published_file_and_no_other(history: list[Manifest], retired: set[str]) -> None:
    expected = {file.name: file for run in history for file in run.files.values() if file.name[0] not in retired}
    held = published(*history)
    held = None if held is None else merge(held, made({"z": -1}), [], retired=retired)
    assert ({} if held is None else held.files) == expected


@given(st.lists(runs(), min_size=1, max_size=4))
def test_publishing_a_run_again_changes_nothing(history: list[Manifest]) -> None:
    assert text(published(*history, history[-1])) == text(published(*history))


@given(runs(("a", "b")), runs(("c", "d")), st.lists(runs(), max_size=2))
def test_two_runs_of_different_cases_give_the_same_in_either_order(
    one: Manifest, other: Manifest, before: list[Manifest]
) -> None:
    assert text(published(*before, one, other)) == text(published(*before, other, one))


@given(st.lists(runs(), min_size=1, max_size=3), runs(("a", "b")))
def test_nothing_of_the_other_cases_is_lost(history: list[Manifest], run: Manifest) -> None:
    before, after = published(*history), published(*history, run)
    if before is None or after is None or before.publication is None or after.publication is None:
        return
    others = before.cases.keys() - set(ok(run))
    assert {name: after.cases[name] for name in others} == {name: before.cases[name] for name in others}
    origins = before.publication.cases
    assert {name: after.publication.cases[name] for name in others} == {name: origins[name] for name in others}


@given(st.lists(runs(), min_size=1, max_size=4))
def test_each_case_leads_to_the_run_that_made_it_and_each_run_names_its_cases(history: list[Manifest]) -> None:
    held = published(*history)
    if held is None:
        return
    assert held.publication is not None
    named = {name: identity for identity, run in held.publication.runs.items() for name in run.selection.case_ids}
    assert named == {name: origin.run for name, origin in held.publication.cases.items()}
    assert named.keys() == held.cases.keys()
    newest = max(run.ended for run in held.publication.runs.values())
    assert held.run.ended == newest


@given(runs())
def test_it_is_read_back_as_it_was_written(run: Manifest) -> None:
    held = published(run)
    assert held is None or Manifest.model_validate_json(held.text()) == held


def test_a_failed_case_never_takes_the_place_of_a_published_one() -> None:
    held = published(made({"a": 1}), made({"a": -1, "b": 2}, ended=1))
    assert held is not None
    assert held.cases["a"].status == "ok"
    assert held.run.selection.case_ids == ["b"]


def test_a_run_that_made_the_same_again_is_not_published_as_news() -> None:
    first = published(made({"a": 1}))
    assert text(published(made({"a": 1}), made({"a": 1}, ended=9, process="another"))) == text(first)


def test_other_versions_that_made_the_same_bytes_are_news() -> None:
    later = made({"a": 1}, ended=9)
    record = later.cases["a"].model_copy(update={"versions": {"torch": "3"}})
    held = published(made({"a": 1}), later.model_copy(update={"cases": {"a": record}}))
    assert held is not None
    assert held.publication is not None
    assert held.publication.cases["a"].run == run_id(later.run)


def test_why_a_change_was_accepted_stays_until_the_next_change() -> None:
    why = Accepted(reason="new weights", replaced={"a_1gpu.png": "0" * 40})
    first, second, third = made({"a": 1}), made({"a": 2}, ended=1), made({"a": 3}, ended=2)
    held = merge(merge(None, first, ["a"]), second, ["a"], {"a": why})
    for again in (held, merge(held, second, ["a"])):
        assert again is not None
        assert again.publication is not None
        assert again.publication.cases["a"].accepted == why
    held = merge(held, third, ["a"])
    assert held is not None
    assert held.publication is not None
    assert held.publication.cases["a"].accepted is None


def test_a_record_of_a_double_run_is_kept_when_the_next_run_did_not_try() -> None:
    tried = made({"a": 1})
    record = tried.cases["a"].model_copy(update={"reproducible": True})
    held = published(tried.model_copy(update={"cases": {"a": record}}), made({"a": 1}, ended=5))
    assert held is not None
    assert held.cases["a"].reproducible is True


def test_two_cases_with_one_file_are_refused() -> None:
    run = made({"a": 1, "b": 1})
    record = run.cases["b"].model_copy(update={"files": run.cases["a"].files})
    with pytest.raises(PublishError, match=r"a_1gpu\.png is the file of both a and b"):
        merge(None, run.model_copy(update={"cases": {"a": run.cases["a"], "b": record}}), ["a", "b"])


def test_a_published_directory_can_itself_be_published() -> None:
    held = published(made({"a": 1}), made({"b": 2}, ended=3))
    assert held is not None
    assert json.loads(text(merge(None, held, ["a", "b"]))) == json.loads(text(held))

"""Any manifest, however it was bent, is taken or refused in words: no traceback, no hang, no path of somebody else's.

GT_EXAMPLES=10000 tries so many.
"""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ci.artifact import attest, folder, summary
from ci.artifact.collect import collect, deliveries
from ci.artifact.manifest import NAME, Manifest, read
from ci.artifact.records import (
    CodeRecord,
    GpuRecord,
    ImageRecord,
    InputRecord,
    PeakMemory,
    ProcessRecord,
    RemoteRecord,
    Seconds,
    Verification,
)
from ci.artifact.replay import Ground, replay, serving_of
from ci.artifact.replay_report import reproduction
from ci.artifact.verdict import verdict
from ci.catalogue.files import CASES, Catalogue
from ci.errors import GtError
from ci.plan.host import Host
from ci.publish.batch import batch
from ci.publish.changes import Order, changes, published_manifest
from ci.publish.merge import merge
from ci.publish.message import message
from ci.publish.remotes.base import Entry, Head, parts_of
from tests.support.publishers import artifact, write
from tests.support.records import DIGEST
from tests.verbs.test_reproduce import COMMIT, recorded

HERE = Ground(Host("h100", 1, 80.0, "NVIDIA H100"), DIGEST, CASES)
TIME = "2026-01-01T00:00:00+00:00"
OFFICIAL, IMAGE = "ltx_2.3_one_stage_ti2v", "qwen_image_edit_2511_ti2i"
Json = Any

# What a bent manifest holds in the place of a value: other shapes, and texts that mean something elsewhere.
VALUES: list[Json] = [
    *(None, True, 0, -1, 1, 2**64, 10**400, 0.5, 1e308, float("nan"), float("inf"), "", [], {}, [[]], [None], {"": {}}),
    *(
        "../../evil",
        "..",
        ".git",
        "/etc/passwd",
        "con",
        "a/b",
        "a\\b",
        "a\x00b",
        "a\nSigned-off-by: x",
        "\x1b[2J",
        "x" * 300,
    ),
    *("0001-01-01T00:00:00+23:59", "2026-01-01", "2026-13-01T00:00:00Z", "ok", "failed", "skipped", "native", "smoke"),
    *("é", "\u202e", "😀", "sha256:" + "0" * 64, "0" * 40, "0" * 64, "A_1gpu.png", "a_1gpu.png", NAME, OFFICIAL),
    *({"engine": 1}, {"repo": []}, {"repo": "a/b"}, [{"repo": "x"}], {"id": "a"}, {"tiny": "x"}),
]


def whole(folder: Path, catalogue: Catalogue) -> Json:
    """A manifest in which every part is filled in."""
    made = artifact(folder, {"a": b"image a", "b": b"image b", "bad": None})
    manifest = Manifest.model_validate_json((made / NAME).read_text())
    process = ProcessRecord(id="p", started=TIME, nonce="n")
    changes: dict[str, Any] = {
        "image": ImageRecord(reference="r@" + DIGEST, digest=DIGEST, recipe=DIGEST),
        "seconds": Seconds(fetch=1, load=1, generate=1, save=1),
        "peak_memory": PeakMemory(host_bytes=1, gpu_bytes=1),
        "process": process,
        "verification": Verification(process=process),
        "reproducible": True,
        "inputs": [InputRecord(url="https://h/x", sha256="d" * 64)],
        "code": CodeRecord(repo="o/r", commit=COMMIT, identity=f"commit:{COMMIT}"),
        "gpu": GpuRecord(kind="h100", name="NVIDIA H100", memory_bytes=1),
        "key": DIGEST,
    }
    cases = {
        OFFICIAL: recorded(catalogue, OFFICIAL, files=manifest.cases["a"].files, **changes),
        IMAGE: recorded(catalogue, IMAGE, files=manifest.cases["b"].files, **changes | {"code": None}),
        "bad": manifest.cases["bad"],
    }
    host = RemoteRecord(gpu="h100", gpu_name="x", engine="v", name="h", cases=[OFFICIAL], started=TIME, ended=TIME)
    selection = manifest.run.selection.model_copy(update={"case_ids": list(cases)})
    run = manifest.run.model_copy(
        update={"hosts": [host], "selection": selection, "kept": {"bad": "failed: x"}, "made": [OFFICIAL]}
    )
    write(made, manifest.model_copy(update={"run": run, "cases": cases}))
    return json.loads((made / NAME).read_text())


def places(value: Json, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place of a JSON value."""
    yield path
    if isinstance(value, dict | list):
        for key, below in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(below, (*path, key))


def bend(data: st.DataObject, value: Json) -> Json:
    """A manifest with some of its places removed, renamed, doubled or filled with something else."""
    value = copy.deepcopy(value)
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(list(places(value))))
        if not path:
            return data.draw(st.sampled_from(VALUES))
        holder = value
        for key in path[:-1]:
            holder = holder[key]
        key = path[-1]
        match data.draw(st.sampled_from(["replace", "swap", "remove", "rename"])):
            case "replace":
                holder[key] = copy.deepcopy(data.draw(st.sampled_from(VALUES)))
            case "swap":
                other = data.draw(st.sampled_from(list(places(value))))
                content = value
                for each in other:
                    content = content[each]
                holder[key] = copy.deepcopy(content)
            case "remove":
                del holder[key]
            case "rename" if isinstance(holder, dict):
                name = data.draw(st.sampled_from([each for each in VALUES if isinstance(each, str)]))
                holder[name] = holder.pop(key)
            case "rename":
                holder.append(copy.deepcopy(holder[key]))
    return value


def attempt(action: Callable[[], object]) -> object:
    """What an action gives, or None where it is refused in words."""
    try:
        return action()
    except GtError:
        return None


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory, catalogue: Catalogue) -> tuple[Path, Json]:
    place = tmp_path_factory.mktemp("whole") / "gt"
    return place, whole(place, catalogue)


@pytest.fixture(scope="module")
def published(started: tuple[Path, Json]) -> Json:
    held = merge(None, Manifest.model_validate(started[1]), [OFFICIAL, IMAGE])
    assert held is not None
    return json.loads(held.text())


def every_reader(place: Path, catalogue: Catalogue) -> None:
    """Give a manifest to everything that reads one."""
    manifest = attempt(lambda: read(place))
    attempt(lambda: verdict(place))
    attempt(lambda: attest.text(attest.statement(place)))
    attempt(lambda: collect(deliveries(place.parent), [OFFICIAL, IMAGE, "bad"], catalogue))
    for target, bare in (("", True), ("x/y", False)):
        parcel = attempt(lambda t=target, b=bare: batch(place, t, bare=b))  # type: ignore[misc]
        if parcel is not None:
            publish(parcel, Head("0" * 40, False, {"x/y/h100/a_1gpu.png": Entry(0o100644, "0" * 40)}))
    if isinstance(manifest, Manifest):
        assert Manifest.model_validate_json(manifest.text()) == manifest
        json.loads(manifest.text(), parse_constant=pytest.fail)
        for text in summary.texts(manifest, []).values():
            assert all(character.isprintable() or character == "\n" for character in text)
        plan = attempt(lambda: replay(manifest, [], HERE, anyway=True))
        attempt(lambda: serving_of(manifest))
        if plan is not None:
            list(reproduction(manifest, plan, manifest).lines())  # type: ignore[arg-type]
        with tempfile.TemporaryDirectory() as scratch:
            attempt(lambda: folder.rewrite(Path(scratch, "gt"), manifest, dict.fromkeys(manifest.cases, place)))
            assert {path.name for path in Path(scratch).iterdir()} <= {"gt"}


def write_over(place: Path, good: Manifest) -> None:
    """Write a run's manifest into the folder of a bent one."""
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / NAME).write_bytes((place / NAME).read_bytes())
        attempt(lambda: folder.write(Path(scratch), good, dict.fromkeys(good.cases, place)))
        attempt(lambda: verdict(Path(scratch)))


def publish(parcel: Any, head: Head, text: bytes | None = None) -> None:
    """What would be published, where nothing is."""
    order = Order(parcel, dict.fromkeys(parcel.cases, "x\ny"), {OFFICIAL})
    published = {} if text is None else dict.fromkeys(parcel.folders, published_manifest("x", text))
    result = attempt(lambda: changes(order, head, published, head))
    if result is not None:
        for path in result.files:  # type: ignore[attr-defined]
            parts_of(path)
        assert "\n\nSigned-off-by" not in message(order, result)  # type: ignore[arg-type]


bent = settings(suppress_health_check=list(HealthCheck))


@bent
@given(st.data())
def test_a_bent_manifest_is_no_traceback_anywhere(
    started: tuple[Path, Json], catalogue: Catalogue, data: st.DataObject
) -> None:
    place, value = started
    (place / NAME).write_text(json.dumps(bend(data, value)))
    every_reader(place, catalogue)
    chosen = data.draw(st.sampled_from([OFFICIAL, IMAGE, "bad"]))
    good = Manifest.model_validate(value)
    write_over(place, good.model_copy(update={"cases": {chosen: good.cases[chosen]}}))


@bent
@given(st.data())
def test_a_bent_published_manifest_is_no_traceback_anywhere(
    started: tuple[Path, Json], published: Json, catalogue: Catalogue, data: st.DataObject
) -> None:
    place, value = started
    text = json.dumps(bend(data, published))
    (place / NAME).write_text(text)
    every_reader(place, catalogue)
    (place / NAME).write_text(json.dumps(value))
    parcel = batch(place, "x/y")
    attempt(lambda: publish(parcel, Head("0" * 40, False, {}), text.encode()))


@bent
@given(st.binary(max_size=64) | st.text(max_size=64).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_what_is_no_manifest_at_all_is_no_traceback_either(
    started: tuple[Path, Json], catalogue: Catalogue, content: bytes
) -> None:
    (started[0] / NAME).write_bytes(content)
    assert attempt(lambda: read(started[0])) is None
    every_reader(started[0], catalogue)

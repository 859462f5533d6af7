"""Models from a hub on a real engine: closed ones are named first, open ones fetched without a GPU, the token kept."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gt_runner.sources.tiny import build
from tests.engine.conftest import Call, Volume, sums, written
from tests.support.factory import body, write_cases
from tests.support.fake_hub import FakeHub, serving

TOKEN = f"hf_{uuid.uuid4().hex}"  # no file of ours holds it
MODEL = "owner/tiny-flux"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FakeHub]:
    """A hub that containers of the engine reach, with a gated model of a few MB."""
    host = os.environ.get("GT_HOST_FROM_ENGINE")
    if host is None:
        pytest.skip("GT_HOST_FROM_ENGINE does not say how this machine is reached from the engine's containers")
    folder = tmp_path / "model"
    build("FluxPipeline", folder, seed=0)
    server = FakeHub(host)
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    server.push(MODEL, files)
    server.repos[MODEL].gated, server.repos[MODEL].token = True, TOKEN
    with serving(server):
        yield server


@pytest.fixture
def official(tmp_path: Path) -> tuple[str, ...]:
    """An official case of ours on that model."""
    call = {"prompt": "a cat", "width": 64, "height": 64, "num_inference_steps": 2, "seed": 1}
    cases = write_cases(tmp_path / "cases", {"mine_t2i": body(MODEL, pipeline="FluxPipeline", call=call)})
    return ("--official", "--cases", str(cases))


def test_a_gated_model_is_named_before_anything_is_fetched_and_opened_by_the_token(
    hub: FakeHub, official: tuple[str, ...], volume: Callable[[], Volume], call: Call
) -> None:
    weights = ("--hf-endpoint", hub.url, "--weights", f"gt-test-{hub.url}")
    refused = call("generate", "--on", "cpu", *official, *weights, "-o", "/nowhere/gt")
    assert refused.status == 1
    assert f"{MODEL} is gated: accept its licence" in refused.message
    assert ": fetch" not in refused.err
    assert not hub.asked("GET", "/resolve/")

    token = ("--hf-token", "env:GT_TEST_TOKEN")
    store = volume()
    (store.folder / "started").touch()
    manifest, called = store.generate(*official, *weights, *token, env={"GT_TEST_TOKEN": TOKEN})
    case = manifest["cases"]["mine_t2i"]
    assert (case["status"], case["reason"], case["pipeline"]) == ("ok", None, "FluxPipeline")
    assert case["weights"][0]["commit"] == hub.repos[MODEL].main
    assert TOKEN not in called.out + called.err
    assert TOKEN.encode() not in b"".join(path.read_bytes() for path in (store.folder / "gt").iterdir())
    assert written(os.environ.get("GT_ENGINE_STATE"), store.folder / "started", TOKEN) == []

    asked = len(hub.asked("GET", "/resolve/"))
    again, _ = store.generate(*official, *weights, *token, output="again", env={"GT_TEST_TOKEN": TOKEN})
    assert (again["run"]["made"], sums(again)) == ([], sums(manifest))
    assert len(hub.asked("GET", "/resolve/")) == asked

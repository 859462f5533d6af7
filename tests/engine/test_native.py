"""Native mode on a real engine: the serving engine is installed into an image, and makes its own cases there."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from ci.run import recipes
from tests.conftest import ROOT
from tests.engine.conftest import Volume, core, processes, sums

STAND_IN = ROOT / "tests" / "support" / "stand_in_engine"
NATIVE = ("--cases", str(STAND_IN / "cases"), "--engine", str(STAND_IN), "--skip-preflight")


def test_native_cases_are_made_in_an_image_of_their_engine_and_not_twice(volume: Callable[[], Volume]) -> None:
    store, token = volume(), f"hf_{uuid.uuid4().hex}"
    made, called = store.generate(*NATIVE, "--hf-token", "env:GT_TEST_TOKEN", env={"GT_TEST_TOKEN": token})
    assert {case["status"] for case in made["cases"].values()} == {"ok"}
    for case in made["cases"].values():
        assert (case["isolation"], case["image"]["reference"]) == ("none", "diffusion-gt/sglang")
        assert case["image"]["recipe"].startswith("sha256:")
        assert case["code"]["identity"].startswith("sha256:")
        assert case["versions"]["pillow"]
    assert token not in called.out + called.err
    again, _ = store.generate(*NATIVE, output="again")
    assert (again["run"]["made"], processes(again), sums(again)) == ([], processes(made), sums(made))


def test_the_engines_own_image_takes_the_place_of_an_installation(volume: Callable[[], Volume]) -> None:
    address = recipes.data().address  # stands in for what the engine's project publishes
    reference = core("container", "from", "--address", address, "image-ref").out.strip()
    made, _ = volume().generate(*NATIVE, "--images", f"sglang={reference}", "--case-ids", "draw_t2v")
    assert made["cases"]["draw_t2v"]["status"] == "ok"
    assert made["cases"]["draw_t2v"]["image"]["reference"] == reference

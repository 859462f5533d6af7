"""The fetch phase of a run: stopped, it is told as skipped, and no trouble of it keeps a run waiting."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest

from tests.support.runs import Runner, faulty_case, outcomes


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_cases_that_are_being_fetched_when_a_run_is_stopped_are_skipped_not_failed(
    tmp_path: Path, sign: signal.Signals
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it takes the connection and never answers
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        runner = Runner(tmp_path, {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path)})
        cases = [faulty_case(name) | {"model": {"repo": "owner/model"}} for name in ("one", "two", "three")]
        process = runner.start(runner.spec(cases))
        silent.settimeout(60)
        connection, _ = silent.accept()
        process.send_signal(sign)
        out, err = process.communicate(timeout=30)
        connection.close()
    assert (process.returncode, "Traceback" in err) == (130, False), err
    assert [(end["event"], end["reason"]) for end in outcomes(out).values()] == [("skipped", "interrupted")] * 3


@pytest.mark.parametrize("again", [False, True], ids=["made", "reused"])
def test_a_case_that_cannot_be_delivered_fails_with_the_reason_and_the_others_are_delivered(
    tmp_path: Path, again: bool
) -> None:
    runner, delivered = Runner(tmp_path), tmp_path / "delivered"
    cases = [faulty_case(name) for name in ("full", "good")]
    if again:
        runner.run(cases)
    delivered.mkdir()
    (delivered / "full_1gpu.png").symlink_to("/dev/full")  # a disk without room
    ended = runner.run(cases, status=1, deliver=str(delivered))
    assert (ended["full"]["event"], ended["full"]["phase"]) == ("failed", "save")
    assert "No space left on device" in ended["full"]["reason"]
    assert ended["good"]["event"] == ("reused" if again else "done")
    assert (delivered / "good_1gpu.png").is_file()


def test_a_run_whose_output_nobody_reads_any_more_ends(tmp_path: Path) -> None:
    runner = Runner(tmp_path)
    runner.run([faulty_case("one")])
    process = runner.start(runner.spec([faulty_case("one")]))
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(60) != 0

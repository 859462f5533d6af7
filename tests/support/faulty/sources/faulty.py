"""A source that does what a case's `call.does` says: draws seeded noise, or misbehaves as real ones do."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from gt_runner.contract import Case, Fetched
from gt_runner.sources import Generated, Step


def _open_socket(case: Case) -> None:
    socket.create_connection((case["call"]["host"], case["call"]["port"]), timeout=5)


def _swallow(case: Case) -> None:
    with suppress(OSError):
        _open_socket(case)


def _curl(case: Case) -> None:
    assert os.system(f"curl -s --max-time 5 http://{case['call']['host']}:{case['call']['port']}/") != 0  # noqa: S605


def _raise(_: Case) -> None:
    raise ValueError("broken on purpose in " + os.getcwd())  # noqa: PTH109


def _once(case: Case) -> None:
    flag = Path(case["call"]["flag"])
    if flag.exists():
        raise ValueError("only once")
    flag.touch()


def _flag(case: Case) -> None:
    Path(case["call"]["flag"]).touch()
    time.sleep(3600)


MISBEHAVIOUR: dict[str, Callable[[Case], object]] = {
    "raise": _raise,
    "once": _once,
    "flag": _flag,
    "hang": lambda _: time.sleep(3600),
    "kill": lambda _: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda _: os._exit(7),
    "socket": _open_socket,
    "swallow": _swallow,
    "curl": _curl,
    "slow": lambda _: time.sleep(1.0),
    "global": lambda _: np.random.random(),
    "token": lambda _: print(os.environ.get("HF_TOKEN", "no token here")),  # noqa: T201
}


class Faulty:
    """Uniform noise of the case's seed, of no seed at all, or of what was made before."""

    pipeline = "Faulty"
    made = 0

    def generate(self, case: Case, inputs: list[Path], step: Step) -> Generated:
        does = case["call"].get("does", "")
        step(1, 2)
        if does in MISBEHAVIOUR:
            MISBEHAVIOUR[does](case)
        step(2, 2)
        seed = {"unseeded": None, "after": self.made}.get(does, case["call"]["seed"])
        self.made += 1
        generator = np.random.default_rng(seed)
        return Generated(generator.integers(0, 256, (1, 16, 16, 3), dtype=np.uint8), dict(case["call"]))


def load(case: Case, fetched: Fetched, device: str) -> Faulty:
    counter = os.environ.get("FAULTY_LOADS")
    if counter:
        with Path(counter).open("a") as file:
            file.write(case["id"] + "\n")
    if case["call"].get("does") == "load":
        raise ValueError("weights are broken on purpose")
    return Faulty()

"""A source that does what a case's `call.does` says: draws seeded noise, or misbehaves as real ones do."""

from __future__ import annotations

import json
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


class OutOfMemoryError(RuntimeError):
    """As torch's is named."""


def _oom(case: Case) -> None:
    time.sleep(case["call"].get("seconds", 0))
    raise OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def _oom_once(case: Case) -> None:
    """The memory is enough as soon as nothing else is on the GPU."""
    if not Path(case["call"]["flag"]).exists():
        time.sleep(case["call"]["seconds"])
        Path(case["call"]["flag"]).touch()
        _oom({**case, "call": {}})


def _lose_card(case: Case) -> None:
    """The GPU falls off the bus, for this process and all later ones."""
    (Path(case["call"]["lost"]) / os.environ["CUDA_VISIBLE_DEVICES"]).touch()
    _check_card(case)


def _check_card(case: Case) -> None:
    if (Path(case["call"].get("lost", "/nowhere")) / os.environ.get("CUDA_VISIBLE_DEVICES", "none")).is_file():
        raise RuntimeError("CUDA error: unspecified launch failure")


def _fill_log(_: Case) -> None:
    """The disk of the log is full from now on."""
    os.dup2(os.open("/dev/full", os.O_WRONLY), 2)


def _flag(case: Case) -> None:
    Path(case["call"]["flag"]).touch()
    time.sleep(3600)


MISBEHAVIOUR: dict[str, Callable[[Case], object]] = {
    "raise": _raise,
    "once": _once,
    "flag": _flag,
    "fill log": _fill_log,
    "oom": _oom,
    "oom once": _oom_once,
    "lose card": _lose_card,
    "hang": lambda _: time.sleep(3600),
    "kill": lambda _: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda _: os._exit(7),
    "socket": _open_socket,
    "swallow": _swallow,
    "curl": _curl,
    "slow": lambda case: time.sleep(case["call"].get("seconds", 1.0)),
    "global": lambda _: np.random.random(),
    "token": lambda _: print(os.environ.get("HF_TOKEN", "no token here")),  # noqa: T201
}


class Faulty:
    """Uniform noise of the case's seed, of no seed at all, or of what was made before."""

    pipeline = "Faulty"
    made = 0

    def generate(self, case: Case, inputs: list[Path], step: Step) -> Generated:
        does, started = case["call"].get("does", ""), time.time()
        step(1, 2)
        _check_card(case)
        if does in MISBEHAVIOUR:
            MISBEHAVIOUR[does](case)
        step(2, 2)
        seed = {"unseeded": None, "after": self.made}.get(does, case["call"]["seed"])
        self.made += 1
        generator, side = np.random.default_rng(seed), case["call"].get("side", 16)
        frames = generator.integers(0, 256, (1, side, side, 3), dtype=np.uint8)
        _note("FAULTY_CALLS", [case["id"], os.environ.get("CUDA_VISIBLE_DEVICES", ""), started, time.time()])
        return Generated(frames, dict(case["call"]))


def _note(variable: str, what: object) -> None:
    if variable in os.environ:
        with Path(os.environ[variable]).open("a") as file:
            file.write(json.dumps(what) + "\n")


def load(case: Case, fetched: Fetched, device: str) -> Faulty:
    counter = os.environ.get("FAULTY_LOADS")
    if counter:
        with Path(counter).open("a") as file:
            file.write(case["id"] + "\n")
    _check_card(case)
    if case["call"].get("does") == "load":
        raise ValueError("weights are broken on purpose")
    return Faulty()

"""Hosts over mutual TLS: reached by what their certificates name, said when not, and the token sent no other way."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from tests.conftest import ROOT
from tests.engine.conftest import Call, Volume, sums, written

TOKEN = f"hf_{uuid.uuid4().hex}"  # no file of ours holds it
HANDSHAKE = 0x16  # the first byte of a TLS connection
PREFLIGHT_S = 30
OVERHEAD_S = 45  # to load the module, on a busy machine


@dataclass(frozen=True)
class Host:
    """A real engine that takes mutual TLS."""

    address: str
    name: str  # in its certificate, beside the address
    keys: Path

    def client(self, folder: str = ".") -> tuple[str, ...]:
        """The arguments of a client that the host trusts, or, from `other`, of one that it does not."""
        pair = self.keys / folder
        keys = {"ca": self.keys / "ca.pem", "cert": pair / "cert.pem", "key": pair / "key.pem"}
        return tuple(part for name, path in keys.items() for part in (f"--tls-{name}", f"file:{path}"))


@pytest.fixture(scope="module")
def host() -> Host:
    """The engine that GT_ENGINE_TLS names."""
    address = os.environ.get("GT_ENGINE_TLS")
    if address is None:
        pytest.skip("GT_ENGINE_TLS names no engine that takes mutual TLS")
    return Host(address, os.environ["GT_ENGINE_TLS_NAME"], Path(os.environ["GT_ENGINE_TLS_KEYS"]))


@dataclass
class Tap:
    """Forwards connections to a host, and keeps what was sent there."""

    host: str
    target: str
    sent: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = socket.create_server((self.host, 0))
        self.address = f"tls://{self.host}:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        parts = urlsplit(self.target)
        with suppress(OSError):  # closed
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection((parts.hostname or "", parts.port or 0))
                self.sent.append(b"")
                for ends in ((near, far, len(self.sent) - 1), (far, near, None)):
                    threading.Thread(target=self._forward, args=ends, daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket, number: int | None) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if number is not None:
                    self.sent[number] += data
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()


@pytest.fixture
def tap(host: Host) -> Iterator[Tap]:
    """A way to the host by an address that its certificate does not hold."""
    near = os.environ.get("GT_HOST_FROM_ENGINE")
    if near is None:
        pytest.skip("GT_HOST_FROM_ENGINE does not say how this machine is reached from the engine's containers")
    way = Tap(near, host.address)
    yield way
    way.close()


def fleet(path: Path, **hosts: tuple[str, str | None]) -> tuple[str, str]:
    """A fleet file of hosts by address and the name in their certificates."""
    entries = {
        name: {"address": address, "gpu": "any", **({"tls_name": tls_name} if tls_name else {})}
        for name, (address, tls_name) in hosts.items()
    }
    path.write_text(yaml.safe_dump({"version": 1, "hosts": entries}))
    return "--fleet", str(path)


def new_cases(folder: Path, *names: str) -> tuple[str, ...]:
    """Smoke cases that no engine has made before."""
    data = yaml.safe_load((ROOT / "cases" / "smoke.yaml").read_text())
    body = data["cases"]["smoke_t2i"]
    call = {**body["call"], "width": 64, "height": 64, "prompt": uuid.uuid4().hex}
    data["cases"] = {name: {**body, "call": {**call, "seed": number}} for number, name in enumerate(names)}
    folder.mkdir()
    (folder / "smoke.yaml").write_text(yaml.safe_dump(data))
    return "--source-group", "smoke", "--cases", str(folder)


def test_jobs_go_over_tls_to_the_address_or_the_name_of_a_certificate_and_the_token_no_other_way(
    host: Host, tap: Tap, volume: Callable[[], Volume], tmp_path: Path
) -> None:
    store = volume()
    started = tmp_path / "started"
    started.touch()
    hosts = {"by-address": (host.address, None), "by-name": (tap.address, host.name)}
    manifest, called = store.generate(
        *new_cases(tmp_path / "cases", "one", "two"),
        *(*fleet(tmp_path / "fleet.yaml", **hosts), *host.client()),
        *("--per-case", "--hf-token", "env:GT_TEST_TOKEN"),
        env={"GT_TEST_TOKEN": TOKEN},
    )
    assert {case["status"] for case in manifest["cases"].values()} == {"ok"}
    assert len(sums(manifest)) == 2
    ran = {each["name"]: each["cases"] for each in manifest["run"]["hosts"]}
    assert ran.keys() == {"by-address", "by-name"}
    assert sorted(case for cases in ran.values() for case in cases) == ["one", "two"]

    carried = [data for data in tap.sent if data]
    assert max(map(len, carried)) > 10_000  # the module's source went this way
    assert {data[0] for data in carried} == {HANDSHAKE}
    assert TOKEN.encode() not in b"".join(carried)
    assert TOKEN not in called.out + called.err
    assert not [path for path in (store.folder / "gt").iterdir() if TOKEN.encode() in path.read_bytes()]
    for state in ("GT_ENGINE_STATE", "GT_ENGINE_TLS_STATE"):
        assert written(os.environ.get(state), started, TOKEN) == []


def refused(call: Call, *arguments: str) -> dict[str, str]:
    """Why each host is left out, of a call that has no other and starts nothing, in time."""
    began = time.monotonic()
    called = call("generate", *arguments, "--insecure-hosts", "-o", "/nowhere/gt")
    assert time.monotonic() - began < PREFLIGHT_S + OVERHEAD_S
    assert called.status == 1
    lines = called.message.splitlines()
    assert lines[0] == "nothing was started"
    assert "  mine needs 1 x any" in lines
    assert "gt_runner" not in called.err  # no runner was started
    head = f" is left out: no answer within {PREFLIGHT_S} s: "
    return {name.removeprefix("host "): why for name, found, why in (line.partition(head) for line in lines) if found}


def test_what_is_wrong_with_each_host_is_said_in_time_and_nothing_starts(
    host: Host, call: Call, tmp_path: Path
) -> None:
    parts = urlsplit(host.address)
    hosts = {
        "misnamed": (host.address, "wrong.example"),
        "closed": (f"tls://{parts.hostname}:9", None),
    }
    said = refused(
        call, *new_cases(tmp_path / "cases", "mine"), *fleet(tmp_path / "fleet.yaml", **hosts), *host.client()
    )
    assert said.keys() == hosts.keys()
    assert f"certificate is valid for {host.name}, not wrong.example" in said["misnamed"]
    assert "connection refused" in said["closed"]
    plain = f"any=tcp://{parts.netloc}"  # the same engine, which one call takes once, however it is named
    said = refused(call, *new_cases(tmp_path / "more", "mine"), "--host", plain)
    assert "error reading server preface: " in said[parts.netloc]


@pytest.mark.long
def test_a_client_that_the_host_does_not_know_is_refused(host: Host, call: Call, tmp_path: Path) -> None:
    said = refused(call, *new_cases(tmp_path / "cases", "mine"), "--host", f"any={host.address}", *host.client("other"))
    assert "remote error: tls: " in said[urlsplit(host.address).netloc]

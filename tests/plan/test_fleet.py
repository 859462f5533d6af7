"""The promises of naming hosts: what is wrong is said, all of it; what is not safe is refused unless asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.errors import FleetError, GtError, HostError
from ci.plan import fleet
from ci.plan.fleet import FleetHost

TLS = FleetHost("a:8443", "tls://a:8443", "h100")
PLAIN = FleetHost("b:8080", "tcp://b:8080", "h100")
NEAR = FleetHost("127.0.0.1:8080", "tcp://127.0.0.1:8080", "h200")

FILE = b"""\
version: 1
hosts:
  gpu-a: {address: tls://10.0.0.7:8443, gpu: h100, tls_name: gpu-a.example}
  gpu-b: {address: tls://gpu-b.example:8443, gpu: 5090}
"""


def check(*hosts: FleetHost, **options: bool | int) -> None:
    fleet.check(hosts, **{"insecure": False, "tls": True, "token": True, "tunnels": 0, **options})  # type: ignore[arg-type]


def test_hosts_come_as_kind_and_address() -> None:
    assert fleet.named(["h100=tls://a:8443", "any=tcp://127.0.0.1:8080"]) == [
        FleetHost("a:8443", "tls://a:8443", "h100"),
        FleetHost("127.0.0.1:8080", "tcp://127.0.0.1:8080", "any"),
    ]


def test_all_wrong_hosts_are_said_at_once() -> None:
    with pytest.raises(HostError) as error:
        fleet.named(
            ["h10=tls://a:1", "h100=a:8443", "h100=ssh://a:22", "h100=tls://a", "tls://a:1", "h100=tls://u:p@a:1"]
        )
    lines = str(error.value).splitlines()
    assert len(lines) == 6
    assert "did you mean h100" in lines[0]
    assert all("tls://gpu-a.example:8443" in line for line in [*lines[1:4], lines[5]])


def test_a_fleet_file_names_its_hosts() -> None:
    assert fleet.read("fleet.yaml", FILE) == [
        FleetHost("gpu-a", "tls://10.0.0.7:8443", "h100", "gpu-a.example"),
        FleetHost("gpu-b", "tls://gpu-b.example:8443", "5090"),
    ]


def test_all_mistakes_of_a_fleet_file_are_said_with_line_host_and_key() -> None:
    data = FILE.replace(b"tls://10.0.0.7:8443", b"10.0.0.7").replace(b"5090", b"h1000, gpsu: 8")
    with pytest.raises(FleetError) as error:
        fleet.read("fleet.yaml", data)
    lines = str(error.value).splitlines()
    assert lines[0] == "3 mistakes in the fleet file; nothing was started"
    assert lines[1].startswith("fleet.yaml:3: gpu-a address: expected an address such as tls://gpu-a.example:8443")
    assert {line.split(": ")[1] for line in lines[2:]} == {"gpu-b gpu", "gpu-b gpsu"}
    assert {line.split(":")[1] for line in lines[2:]} == {"4"}


@given(data=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_fleet_file_gives_a_traceback(data: bytes) -> None:
    with pytest.raises(GtError):
        fleet.read("fleet.yaml", data)


def test_plain_tcp_is_for_loopback_alone_unless_asked_for() -> None:
    check(TLS, NEAR, tunnels=1)
    with pytest.raises(HostError, match=r"b:8080: tcp:// is open to whoever reaches it; .*--insecure-hosts"):
        check(PLAIN, token=False)
    check(PLAIN, token=False, insecure=True)


def test_the_token_goes_over_tls_or_loopback_only_whatever_is_asked_for() -> None:
    with pytest.raises(HostError, match="the token goes over TLS or loopback only"):
        check(PLAIN, insecure=True)
    check(NEAR, TLS, tunnels=1)


def test_tls_needs_its_keys_and_a_host_stands_once_and_loopback_needs_its_tunnel() -> None:
    with pytest.raises(HostError) as error:
        check(TLS, TLS, NEAR, tls=False)
    text = str(error.value)
    assert "a:8443: tls:// needs --tls-ca, --tls-cert and --tls-key" in text
    assert "a:8443 is named twice" in text
    assert "hosts with loopback addresses: 127.0.0.1:8080; tunnels: 0; give --tunnels" in text


def test_two_names_of_one_engine_would_share_its_gpus_unseen() -> None:
    with pytest.raises(HostError, match=r"a and b have one address, tls://x:1; name each host once"):
        check(FleetHost("a", "tls://x:1", "h100"), FleetHost("b", "tls://x:1", "any"))


@pytest.mark.parametrize(
    ("other", "tls_name"),
    [
        ("tls://GPU.example:8443", None),
        ("tls://gpu.example.:8443", None),
        ("tls://gpu.example:08443", None),
        ("tcp://gpu.example:8443", None),
        ("tls://gpu.example:8443", "gpu.example"),
    ],
)
def test_an_engine_is_known_however_its_address_is_written(other: str, tls_name: str | None) -> None:
    with pytest.raises(HostError, match="a and b have one address"):
        check(FleetHost("a", "tls://gpu.example:8443", "h100"), FleetHost("b", other, "h100", tls_name), insecure=True)


def test_engines_behind_one_address_are_told_apart_by_their_certificates() -> None:
    check(FleetHost("a", "tls://x:1", "h100", "a.example"), FleetHost("b", "tls://x:1", "h100", "b.example"))


@pytest.mark.parametrize(
    "address",
    [
        *("tls://[x", "tls://a\u2100b:1", "tls://a:1#x", "tls://a:1?", "tls://a\t:1", "tls://a:99999", "tls://u@a:1"),
        *("tls://a b:1", "tls://a,b:1", "tls://$(x):1", "tls://\u00e9:1", "tls://u:p@a:1"),
    ],
)
def test_an_address_that_is_none_is_told_by_what_is_one(address: str) -> None:
    with pytest.raises(HostError, match=r"after the kind, expected an address such as tls://gpu-a\.example:8443$"):
        fleet.named([f"h100={address}"])


@pytest.mark.parametrize("address", ["localhost:1", "127.0.0.2:1", "[::1]:1"])
def test_every_loopback_address_is_known(address: str) -> None:
    assert FleetHost("x", f"tcp://{address}", "any").loopback
    assert not FleetHost("x", "tcp://127.0.0.1.example:1", "any").loopback

"""docs/hosts: the fleet file is valid, and the certificates are what mutual TLS needs."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from ci.plan import fleet
from tests.support.pages import DOCS, blocks

HOST = "gpu-a.example"


def test_the_fleet_file_is_valid_and_safe_with_its_tunnel() -> None:
    (block,) = blocks("yaml", page=DOCS / "hosts" / "use.md")
    hosts = fleet.read("fleet.yaml", block.text.encode())
    assert [host.name for host in hosts if host.loopback] == ["lab"]
    fleet.check(hosts, insecure=False, tls=True, token=True, tunnels=1)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the page's commands were run."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on PATH")
    folder = tmp_path_factory.mktemp("keys")
    (block,) = blocks("bash", page=DOCS / "hosts" / "set-up.md")
    subprocess.run(["bash", "-euc", block.text], cwd=folder, check=True, capture_output=True)
    return folder


def handshake(keys: Path, name: str, *, known: bool = True) -> None:
    """Connect as a caller to a host that takes mutual TLS, in memory. Raises ssl.SSLError where it should not work."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(keys / "server.pem", keys / "server.pem.key")
    server.load_verify_locations(keys / "ca.pem")
    server.verify_mode = ssl.CERT_REQUIRED
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(keys / "ca.pem")
    if known:
        client.load_cert_chain(keys / "cert.pem", keys / "key.pem")
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(down, up, server_hostname=name),
        server.wrap_bio(up, down, server_side=True),
    ]
    for _ in range(3):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue


@pytest.mark.parametrize("name", [HOST, "10.0.0.7"])
def test_the_certificates_are_for_the_names_that_they_hold(keys: Path, name: str) -> None:
    handshake(keys, name)


def test_another_name_and_a_caller_without_a_certificate_are_refused(keys: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=r"not valid for 'gpu-b\.example'"):
        handshake(keys, "gpu-b.example")
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        handshake(keys, HOST, known=False)


def test_keys_are_not_for_everyone_to_read(keys: Path) -> None:
    for name in ("ca-key.pem", "server.pem.key", "key.pem"):
        assert (keys / name).stat().st_mode & 0o077 == 0

"""The GPU hosts that a call may use, from the command line or from a fleet file; what is not safe is refused."""

from __future__ import annotations

import ipaddress
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from ..catalogue import documents, gpus
from ..catalogue.fields import NeededGpu, Strict
from ..errors import FleetError, HostError, near

SCHEMES = ("tls", "tcp")
HOST = re.compile(r"[\w.:-]+", re.ASCII)  # a name of DNS, or an IP address without its brackets


def _address(text: str) -> str:
    try:
        parts = urlsplit(text)
        has_name = HOST.fullmatch(parts.hostname or "") and "@" not in parts.netloc
        is_whole = parts.scheme in SCHEMES and has_name and parts.port
    except ValueError:
        is_whole = False
    if not is_whole or text != f"{parts.scheme}://{parts.netloc}":
        raise ValueError("an address such as tls://gpu-a.example:8443")
    return text


Address = Annotated[str, AfterValidator(_address)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$")]


class HostEntry(Strict):
    """A Dagger engine on a GPU machine."""

    address: Address = Field(description="tls://NAME:PORT, or tcp://NAME:PORT.")
    gpu: NeededGpu = Field(description="GPU kind; any: whatever its driver says.")
    tls_name: Name | None = Field(None, description="Name in the host's certificate, if it is not the address's.")


class FleetFile(Strict):
    """Hosts with names for people."""

    version: Literal[1] = Field(description="Version of this file format.")
    hosts: dict[Name, HostEntry] = Field(min_length=1)


@dataclass(frozen=True)
class FleetHost:
    """One host: a name for people, and where its engine listens."""

    name: str
    address: str
    kind: str
    tls_name: str | None = None

    @property
    def encrypted(self) -> bool:
        """Whether the engine connection is TLS."""
        return self.address.startswith("tls://")

    @property
    def endpoint(self) -> tuple[str, int | None]:
        """Where it listens, however that was written."""
        parts = urlsplit(self.address)
        return (parts.hostname or "").removesuffix("."), parts.port  # urlsplit makes it lower case

    @property
    def loopback(self) -> bool:
        """Whether the address is one of the caller's own machine, such as the near end of a tunnel."""
        host, _ = self.endpoint
        if host == "localhost":
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False


def named(options: Iterable[str]) -> list[FleetHost]:
    """Hosts of options like KIND=ADDRESS. Raises HostError with all that are wrong."""
    hosts, mistakes = [], []
    for text in options:
        kind, _, address = text.strip().partition("=")
        if kind == gpus.CPU or gpus.mistake(kind) is not None:
            mistakes.append(f"{text!r} names no GPU kind; {near(kind, (gpus.ANY, *gpus.GPU_KINDS))}")
            continue
        try:
            hosts.append(FleetHost(urlsplit(_address(address)).netloc, address, kind))
        except ValueError as error:
            mistakes.append(f"{text!r}: after the kind, expected {error}")
    if mistakes:
        raise HostError("\n".join(mistakes))
    return hosts


def read(name: str, data: bytes) -> list[FleetHost]:
    """The hosts of a fleet file. Raises FleetError with all mistakes."""
    hosts = documents.only(name, data, FleetFile, "hosts", FleetError).hosts
    return [FleetHost(host, entry.address, entry.gpu, entry.tls_name) for host, entry in hosts.items()]


def check(hosts: Sequence[FleetHost], *, insecure: bool, tls: bool, token: bool, tunnels: int) -> None:
    """Refuse what would not be safe or cannot work. Raises HostError with all of it.

    Whoever reaches a plain engine is root on its machine, so `tcp://` is for loopback alone unless `insecure`; a token
    goes over TLS or loopback only. A loopback address is the caller's: it needs a tunnel, in the order of the hosts.
    """
    mistakes = []
    for host in hosts:
        is_plain = not host.encrypted and not host.loopback
        if is_plain and not insecure:
            mistakes.append(f"{host.name}: tcp:// is open to whoever reaches it; use tls://, or say --insecure-hosts")
        if is_plain and token:
            mistakes.append(
                f"{host.name}: the token goes over TLS or loopback only; use tls://, or leave the token out"
            )
        if host.encrypted and not tls:
            mistakes.append(f"{host.name}: tls:// needs --tls-ca, --tls-cert and --tls-key")
    mistakes += dict.fromkeys(_twice(hosts))
    loopback = [host.name for host in hosts if host.loopback]
    if len(loopback) != tunnels:
        mistakes.append(
            f"hosts with loopback addresses: {', '.join(loopback) or 'none'}; tunnels: {tunnels}; give --tunnels the "
            "same loopback addresses, in the same order"
        )
    if mistakes:
        raise HostError("\n".join(mistakes))


def _twice(hosts: Sequence[FleetHost]) -> Iterator[str]:
    """An engine that is named twice would be given its GPUs twice."""
    for one, other in itertools.combinations(hosts, 2):
        if one.name == other.name:
            yield f"{one.name} is named twice; name each host once"
        elif one.endpoint == other.endpoint and len({one.tls_name, other.tls_name} - {None}) < 2:  # noqa: PLR2004
            yield f"{one.name} and {other.name} have one address, {one.address}; name each host once"

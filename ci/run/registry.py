"""The digest that a container registry has under a tag, by the OCI distribution API, for whoever has no login."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

import httpx
import stamina

from ..errors import PinError

MANIFESTS = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        "oci.image.index.v1",
        "docker.distribution.manifest.list.v2",
        "oci.image.manifest.v1",
        "docker.distribution.manifest.v2",
    )
)
DOCKER, DOCKER_API = "docker.io", "registry-1.docker.io"
PASSING = (408, 429, 500, 502, 503, 504)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Reference:
    """An image by its tag."""

    host: str
    repository: str
    tag: str

    @property
    def address(self) -> str:
        """Where its manifest is. A registry on this machine has no certificate."""
        plain = self.host.split(":")[0] in ("localhost", "127.0.0.1")
        host = DOCKER_API if self.host == DOCKER else self.host
        return f"{'http' if plain else 'https'}://{host}/v2/{self.repository}/manifests/{self.tag}"


def parse(reference: str) -> Reference:
    """As `docker pull` reads it. Raises PinError for what is no reference by tag."""
    first, _, rest = reference.partition("/")
    named = rest and ("." in first or ":" in first or first == "localhost")
    host, path = (first, rest) if named else (DOCKER, reference)
    name, _, tag = path.partition(":")
    if not re.fullmatch(r"[a-z0-9._/-]+", name) or "@" in path:
        raise PinError(f"{reference!r} names no image by its tag; write it like docker.io/library/python:3.11-slim")
    official = host == DOCKER and "/" not in name
    return Reference(host, f"library/{name}" if official else name, tag or "latest")


def digest(reference: str) -> str:
    """The digest under which a registry has an image now, for all platforms. Raises PinError."""
    address = parse(reference).address
    try:
        answer = _asked(address)
        answer.raise_for_status()
    except httpx.HTTPStatusError as error:
        said = error.response.status_code
        raise PinError(f"{reference}: the registry answered {said}; check the reference") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise PinError(f"{reference}: {error}; check the reference and the network") from error
    found = answer.headers.get("Docker-Content-Digest") or f"sha256:{hashlib.sha256(answer.content).hexdigest()}"
    if not _DIGEST.fullmatch(found):
        raise PinError(f"{reference}: the registry names {found!r}, which is no sha256 digest")
    return found


def _passes(error: Exception) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in PASSING
    return isinstance(error, httpx.TransportError)


@stamina.retry(on=_passes, attempts=5, timeout=None, wait_initial=1.0)
def _asked(address: str) -> httpx.Response:
    with httpx.Client(headers={"Accept": MANIFESTS}, timeout=30, follow_redirects=True) as client:
        answer = client.get(address)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            token = _token(client, answer.headers.get("WWW-Authenticate", ""))
            answer = client.get(address, headers={"Authorization": f"Bearer {token}"})
        if answer.status_code in PASSING:
            answer.raise_for_status()
        return answer


def _token(client: httpx.Client, challenge: str) -> str:
    """What a registry's token server gives to anybody."""
    kind, _, rest = challenge.partition(" ")
    told = dict(re.findall(r'(\w+)="([^"]*)"', rest))
    realm = told.pop("realm", "")
    if kind.lower() != "bearer" or not realm:
        raise PinError("the registry asks for a login; only public images can be pinned here")
    answer = client.get(realm, params=told)
    answer.raise_for_status()
    found = answer.json()
    return str(found.get("token") or found.get("access_token"))

"""The engine's body of generate, and the options of whatever makes cases on an engine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import dagger
from dagger import dag
from typing_extensions import Doc

from ..artifact.verdict import bad_lines
from ..catalogue.gpus import CPU
from ..catalogue.model import Case
from ..plan import fleet as fleets
from ..plan.fleet import FleetHost
from ..plan.host import Host, of_devices
from ..run import transfer
from ..run.hosts.call import Connection
from ..run.images import Checkout, Images
from ..run.on_engine import Settings, probe
from ..run.session import Session
from .answers import say
from .generate import Generate, count
from .images import BaseImage, HfEndpoint, ImageList, Weights, runner_images, weights_volume
from .options import AtLeast, Folder, Secret, directory_of


@dataclass(frozen=True, kw_only=True)
class MakingOnEngine:
    """The options of whatever makes cases on an engine."""

    hf_token: Annotated[
        Secret | None,
        Doc("Token of the model hub; only the fetch phase has it, or the serving engine that makes native cases."),
    ] = None
    hf_endpoint: HfEndpoint = ""
    weights: Weights = None
    results: Annotated[
        dagger.CacheVolume | None, Doc("The cache volume of the result store; the module's own if not given.")
    ] = None
    wan_code: Annotated[Folder | None, Doc("The Wan2.1 repository; at its pin if not given.")] = None
    wan22_code: Annotated[Folder | None, Doc("The Wan2.2 repository; at its pin if not given.")] = None
    ltx_code: Annotated[Folder | None, Doc("The LTX-2 repository; at its pin if not given.")] = None
    base_image: BaseImage = ""
    images: ImageList = ()

    def settings(self, cases: Folder, checkout: Checkout | None) -> Settings:
        """What a generation on the engine needs beside the selection."""
        code = {"wan21": self.wan_code, "wan22": self.wan22_code, "ltx": self.ltx_code}
        return Settings(
            cases=cases.directory,
            weights=weights_volume(self.weights),
            results=self.results or dag.cache_volume("diffusion-gt-results"),
            code={source: folder.directory for source, folder in code.items() if folder is not None},
            engine=checkout,
            token=None if self.hf_token is None else self.hf_token.secret,
            hf_endpoint=self.hf_endpoint,
            images=self.images,
        )


@dataclass(frozen=True, kw_only=True)
class GenerateOnEngine(MakingOnEngine, Generate):
    """In containers of this engine, and of others."""

    engine_ref: Annotated[
        str, Doc("Branch, tag or commit of the serving engine's repository, instead of the case file's.")
    ] = ""
    parallel: Annotated[
        int, Doc("Jobs that generate side by side; 0: as many as the GPUs allow, one without GPUs."), AtLeast(0)
    ] = 0
    events: Annotated[bool, Doc("Write each event of the runner into the log as JSON too, for a program.")] = False
    host: Annotated[
        tuple[str, ...], Doc("GPU hosts to send jobs to, as KIND=tls://NAME:PORT; any=… for whatever it is.")
    ] = ()
    fleet: Annotated[Path | None, Doc("A file of GPU hosts, see docs/hosts.")] = None
    tunnels: Annotated[
        tuple[dagger.Service, ...], Doc("The loopback addresses among the hosts, once more and in their order.")
    ] = ()
    tls_ca: Annotated[Secret | None, Doc("CA certificate of the hosts, PEM.")] = None
    tls_cert: Annotated[Secret | None, Doc("Client certificate that the hosts trust, PEM.")] = None
    tls_key: Annotated[Secret | None, Doc("Its key, PEM.")] = None
    insecure_hosts: Annotated[
        bool, Doc("Allow tcp:// hosts beyond loopback: whoever reaches such an engine is root on its machine.")
    ] = False
    max_minutes: Annotated[
        float, Doc("End the call after this time, with what is finished by then; 0: no limit."), AtLeast(0)
    ] = 0

    async def run_on_engine(self) -> dagger.Directory:
        """The artifact."""
        verb = replace(self, cases=await near_cases(self.cases))
        cases = verb.select()
        images = runner_images(self.base_image, self.images, [case.source for case in cases])
        generation = verb.generation(await engine_host(images, self.kind, self.devices))
        settings = replace(
            self.settings(self.cases, await self._checkout(cases, images)),
            previous=directory_of(self.previous),
            parallel=self.parallel,
            events=self.events,
        )
        if self.only_finished:
            artifact, manifest = await Session(generation, settings, images).finished()
        else:
            hosts = self._hosts()
            connection, preflight = self._connection(hosts), not self.skip_preflight
            session = Session(generation, settings, images, hosts, connection, preflight, self.max_minutes)
            artifact, manifest = await session.generate()
        for line in (*bad_lines(manifest), count(manifest, "in the artifact")):
            say(line)
        return artifact

    async def _checkout(self, cases: Iterable[Case], images: Images) -> Checkout | None:
        """The checkout of the serving engine that makes the cases, if they are native ones."""
        serving = next((case.serving for case in cases if case.serving is not None), None)
        if serving is None and self.engine_ref:  # no error: a CI's workflow has one field for both modes
            say(f"--engine-ref {self.engine_ref} is for native cases, and these are none")
        return None if serving is None else await images.checkout(serving, directory_of(self.engine), self.engine_ref)

    def _hosts(self) -> list[FleetHost]:
        """The GPU hosts that were named. Raises HostError or FleetError."""
        hosts = fleets.named(self.host)
        if self.fleet is not None:
            hosts += fleets.read(self.fleet.name, self.fleet.read_bytes())
        tls = None not in (self.tls_ca, self.tls_cert, self.tls_key)
        token = self.hf_token is not None
        fleets.check(hosts, insecure=self.insecure_hosts, tls=tls, token=token, tunnels=len(self.tunnels))
        return hosts

    def _connection(self, hosts: Iterable[FleetHost]) -> Connection:
        keys = {"ca.pem": self.tls_ca, "cert.pem": self.tls_cert, "key.pem": self.tls_key}
        names = [host.name for host in hosts if host.loopback]
        return Connection(
            {name: key.secret for name, key in keys.items() if key is not None},
            dict(zip(names, self.tunnels, strict=True)),
        )


async def engine_host(images: Images, kind: str | None, devices: tuple[str, ...]) -> Host:
    """What this engine offers to cases of a kind, on these of its GPUs. Raises HostError."""
    machine = Host(CPU) if kind == CPU else await probe(images.base())
    return of_devices(machine.cards, devices) if devices else machine


async def near_cases(cases: Folder) -> Folder:
    """A folder of case files on the engine, with a copy in this process."""
    return Folder(await transfer.exported(cases.directory, "cases"), cases.directory)

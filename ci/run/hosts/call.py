"""Runs jobs on other engines: a container here holds the Dagger CLI and this module, and calls `generate` there."""

from __future__ import annotations

import csv
import io
import json
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit

import anyio
import dagger
from dagger import dag

from ...catalogue.gpus import suits
from ...plan.fleet import FleetHost
from ...plan.host import Host, host_of
from ...plan.nvidia import QUERY
from ..on_engine import PREVIOUS
from .dispatch import HostFaultError

ENGINE = "registry.dagger.io/engine"  # of the version that runs this; its CLI must be the one that calls the host
SOURCE, TLS, OUT = "/src", "/gt/tls", "/gt/out"
ANSWER_S = 30.0  # within which a host must answer; an unreachable one would hang
NO_ANSWER = f"no answer within {ANSWER_S:.0f} s"
ASKING_S, TIMED_OUT = 20, 124  # an attempt to connect never ends by itself: ended so early, it can still say why
HEARTBEAT_S, MISSES = 20.0, 2  # a host that misses so many in a row has died or hung
# The command's output, or its last words on the connection where it fails or is ended after so many seconds.
ASKED = """\
seconds=$1; shift
timeout "$seconds" "$@" 2>/tmp/said && exit
status=$?
grep -aoE '(^Error|connection error): .*' /tmp/said >&2
exit $status"""
UNREACHED = re.compile(r'connection error: desc = "(?:transport: Error while dialing: )?(.*)"')

T = TypeVar("T")


@dataclass(frozen=True)
class Connection:
    """What reaches the hosts: keys for TLS, and tunnels to the caller's loopback, by host name."""

    ca: dagger.Secret | None = None
    cert: dagger.Secret | None = None
    key: dagger.Secret | None = None
    tunnels: Mapping[str, dagger.Service] = field(default_factory=dict)


@dataclass(frozen=True)
class RemoteHost:
    """A host that has answered."""

    host: FleetHost
    machine: Host  # as its driver says; of kind cpu where it has none
    engine: str  # version

    @property
    def name(self) -> str:
        """For people."""
        return self.host.name

    @property
    def kind(self) -> str:
        """The GPU kind."""
        return self.machine.kind

    @property
    def gpus(self) -> int:
        """How many GPUs it has."""
        return self.machine.gpus


@dataclass(frozen=True)
class Call:
    """A call of `generate` on a host."""

    container: dagger.Container  # of the runner here, with everything that the arguments refer to
    cases: Sequence[str]
    arguments: Sequence[str]  # which cases these are, and what they are made with
    making: Sequence[str]  # how
    keep: Sequence[str]  # in the container: takes what lies in PREVIOUS into the result store here


class Nested:
    """Calls engines from a container of this one; `reference` is the base image that all of them start from."""

    def __init__(self, base: dagger.Container, reference: str, version: str, connection: Connection) -> None:
        cli = dag.container().from_(f"{ENGINE}:{version}").file("/usr/local/bin/dagger")
        self._base, self._cli = base, cli
        self.reference, self._version, self._connection = reference, version, connection

    async def look(self, host: FleetHost) -> RemoteHost:
        """Ask a host for its version and its GPUs.

        Raises HostFaultError with what is wrong, within ANSWER_S.
        """
        with anyio.move_on_after(ANSWER_S):
            return await self._look(host)
        raise HostFaultError(NO_ANSWER)

    async def _look(self, host: FleetHost) -> RemoteHost:
        version = (await self._answer(host, "core", "version")).strip()
        if version != self._version:
            raise HostFaultError(f"its engine is {version}, and this one {self._version}; they must be of one version")
        query = ["container", "from", "--address", self.reference, "with-env-variable"]
        query += ["--name", "GT_NONCE", "--value", uuid.uuid4().hex, "with-env-variable"]
        query += ["--name", "NVIDIA_DRIVER_CAPABILITIES", "--value", "compute,utility", "experimental-with-all-gp-us"]
        try:
            machine = host_of(await self._answer(host, "core", *query, "with-exec", "--args", listed(QUERY), "stdout"))
        except HostFaultError as error:
            if str(error).startswith(NO_ANSWER):  # slow, perhaps with the image: that says nothing of GPUs
                raise
            machine = host_of("")  # no GPU support, or no driver
        if not suits(host.kind, machine.kind):
            has = machine.gpu_name or "no GPU that its engine offers (_EXPERIMENTAL_DAGGER_GPU_SUPPORT=1 is its to set)"
            raise HostFaultError(f"it is named as {host.kind}, and has {has}")
        return RemoteHost(host, machine, version)

    async def generate(self, remote: RemoteHost, label: str, call: Call) -> dagger.Directory:
        """Call `generate` on a host; finished cases are kept here while it goes on.

        Raises HostFaultError where the host died, hung or refused, RefusedError where the call itself was refused.
        """
        generate = ["dagger", "--progress=plain", "call", "-m", SOURCE, "generate", *call.arguments]
        bring = [*generate, "--only-finished", "-o", PREVIOUS, "--case-ids"]
        relay = ["python", f"{SOURCE}/ci/run/hosts/relay.py", label, json.dumps(bring), json.dumps(call.keep), "--"]
        making = [*generate, *call.making, "--case-ids", ",".join(call.cases), "-o", OUT]
        container = self._reaching(remote.host, call.container).with_directory(OUT, dag.directory())

        async def made() -> dagger.Directory:
            ran = await container.with_exec([*relay, *making], expect=dagger.ReturnType.ANY).sync()
            if await ran.exit_code():
                raise _failure(await ran.stdout())
            return ran.directory(OUT)

        return await self._watched(remote.host, made)

    async def _watched(self, host: FleetHost, action: Callable[[], Awaitable[T]]) -> T:
        """The action's result, unless the host stops answering meanwhile."""

        async def watch() -> None:
            missed = 0
            while missed < MISSES:
                await anyio.sleep(0 if missed else HEARTBEAT_S)
                try:
                    await self._answer(host, "core", "version")
                    missed = 0
                except HostFaultError:
                    missed += 1
            raise HostFaultError(f"it stopped answering ({MISSES} times in a row, {ANSWER_S:.0f} s each)")

        try:
            async with anyio.create_task_group() as group:
                group.start_soon(watch)
                result = await action()
                group.cancel_scope.cancel()
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return result

    async def _answer(self, host: FleetHost, *command: str) -> str:
        """What a command says on a host. Raises HostFaultError where it fails or takes longer than ANSWER_S."""
        shell = ["bash", "-c", ASKED, "-", str(ASKING_S), "dagger", "--progress=plain", "-vv", *command]
        container = self._reaching(host, self._base).with_exec(shell, expect=dagger.ReturnType.ANY)
        with anyio.move_on_after(ANSWER_S):
            answer = await container.sync()
            status = await answer.exit_code()
            if status == 0:
                return await answer.stdout()
            log = await answer.stderr()
            raise HostFaultError(_unanswered(log) if status == TIMED_OUT else _last_line(log))
        raise HostFaultError(NO_ANSWER)

    def _reaching(self, host: FleetHost, container: dagger.Container) -> dagger.Container:
        """The container with the CLI, this module and the way to a host."""
        container = (
            container.with_file("/usr/local/bin/dagger", self._cli)
            .with_mounted_directory(SOURCE, dag.current_module().source())
            .with_env_variable("DAGGER_NO_NAG", "1")
            .with_env_variable("NO_COLOR", "1")
            .with_env_variable("GT_NONCE", uuid.uuid4().hex)
            .with_workdir(SOURCE)
        )
        parts, address = urlsplit(host.address), host.address
        tunnel = self._connection.tunnels.get(host.name)
        if tunnel is not None:
            container = container.with_service_binding("tunnel", tunnel)
            address = f"{parts.scheme}://tunnel:{parts.port}"
        if host.tls_name is not None:
            service = tunnel or dag.address(f"tcp://{parts.netloc}").service()
            container = container.with_service_binding(host.tls_name, service)
            address = f"tls://{host.tls_name}:{parts.port}"
        if host.encrypted:
            container = self._with_keys(container)
            address += f"?ca_path={TLS}/ca.pem&cert_path={TLS}/cert.pem&key_path={TLS}/key.pem"
        return container.with_env_variable("_EXPERIMENTAL_DAGGER_RUNNER_HOST", address)

    def _with_keys(self, container: dagger.Container) -> dagger.Container:
        keys = {"ca.pem": self._connection.ca, "cert.pem": self._connection.cert, "key.pem": self._connection.key}
        for name, secret in keys.items():
            if secret is not None:
                container = container.with_mounted_secret(f"{TLS}/{name}", secret)
        return container


class RefusedError(Exception):
    """The host did as it was told, and refused: another host would too."""


def _failure(log: str) -> Exception:
    lines = [line.partition("] ")[2] for line in log.splitlines()]
    start = next((number for number, line in enumerate(lines) if line.startswith("Error: FunctionError: ")), None)
    if start is None:
        return HostFaultError(_last_line("\n".join(lines)))
    message = "\n".join(lines[start:]).removeprefix("Error: FunctionError: ")
    return RefusedError(message.partition(" [traceparent")[0].strip())


def listed(parts: Sequence[str]) -> str:
    """A list as the CLI takes it: one row of CSV, so that a comma within a part does not cut it in two."""
    row = io.StringIO()
    csv.writer(row, lineterminator="").writerow(parts)
    return row.getvalue()


def _unanswered(log: str) -> str:
    reasons = UNREACHED.findall(log)
    return f"{NO_ANSWER}: {reasons[-1]}" if reasons else NO_ANSWER


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = next((line for line in reversed(lines) if line.startswith("Error: ")), lines[-1] if lines else "no word")
    return line.removeprefix("Error: ").partition(" [traceparent")[0]

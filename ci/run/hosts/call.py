"""Runs jobs on other engines: a container here holds the Dagger CLI and this module, and calls `generate` there."""

from __future__ import annotations

import csv
import io
import re
import shlex
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import anyio
import dagger
from dagger import dag

from ...catalogue.gpus import suits
from ...plan.fleet import FleetHost
from ...plan.host import host_of
from ...plan.nvidia import QUERY
from .. import spans
from ..dagger_interface import CALL, CORE
from ..on_engine import KEEP, PREVIOUS
from .dispatch import HostFaultError, Place

ENGINE = "registry.dagger.io/engine"  # of the version that runs this; its CLI must be the one that calls the host
SOURCE, TLS, OUT = "/src", "/gt/tls", "/gt/out"
ANSWER_S = 30.0  # within which a host must answer; an unreachable one would hang
NO_ANSWER = f"no answer within {ANSWER_S:.0f} s"
ASKING_S, TIMED_OUT = 20, 124  # an attempt to connect never ends by itself: ended so early, it can still say why
HEARTBEAT_S, MISSES = 20.0, 2  # a host that misses so many in a row has died or hung
# The command's output, or its last words on the connection where it fails or is ended after so many seconds.
QUESTION = """\
seconds=$1; shift
timeout "$seconds" "$@" 2>/tmp/said && exit
status=$?
grep -aoE '(^Error|connection error): .*' /tmp/said >&2
exit $status"""
UNREACHED = re.compile(r'connection error: desc = "(?:transport: Error while dialing: )?(.*)"')


@dataclass(frozen=True)
class Connection:
    """What reaches the hosts: files of keys for TLS, and tunnels to the caller's loopback, by host name."""

    keys: Mapping[str, dagger.Secret] = field(default_factory=dict)
    tunnels: Mapping[str, dagger.Service] = field(default_factory=dict)


class Nested:
    """Calls engines from a container of this one; `reference` is the base image that all of them start from."""

    def __init__(self, base: dagger.Container, reference: str, version: str, connection: Connection) -> None:
        cli = dag.container().from_(f"{ENGINE}:{version}").file("/usr/local/bin/dagger")
        self._base, self._cli = base, cli
        self.reference, self._version, self._connection = reference, version, connection

    async def look(self, host: FleetHost) -> Place:
        """Ask a host for its version and its GPUs.

        Raises HostFaultError with what is wrong, within ANSWER_S.
        """
        query = ["container", "from", "--address", self.reference, "with-env-variable"]
        query += ["--name", "GT_NONCE", "--value", uuid.uuid4().hex, "with-env-variable"]
        query += ["--name", "NVIDIA_DRIVER_CAPABILITIES", "--value", "compute,utility", "experimental-with-all-gp-us"]
        query += ["with-exec", "--args", listed(QUERY), "stdout"]
        with spans.step(f"look at {host.name}"), anyio.move_on_after(ANSWER_S) as limit:
            version = (await self._answer(host, "version")).strip()
            if version != self._version:
                words = f"its engine is {version}, and this one {self._version}"
                raise HostFaultError(f"{words}; they must be of one version")
            try:
                machine = host_of(await self._answer(host, *query))
            except HostFaultError as error:
                if str(error).startswith(NO_ANSWER):  # slow, perhaps with the image: that says nothing of GPUs
                    raise
                machine = host_of("")  # no GPU support, or no driver
        if limit.cancelled_caught:
            raise HostFaultError(NO_ANSWER)
        if not suits(host.kind, machine.kind):
            offer = (
                machine.gpu_name or "no GPU that its engine offers (_EXPERIMENTAL_DAGGER_GPU_SUPPORT=1 is its to set)"
            )
            raise HostFaultError(f"it is named as {host.kind}, and has {offer}")
        return Place(host.name, machine, version, host)

    async def generate(
        self,
        host: FleetHost,
        label: str,
        container: dagger.Container,
        arguments: Sequence[str],
        manner: Sequence[str],
    ) -> dagger.Directory:
        """Call `generate` on a host; finished cases are kept here while it goes on.

        The container is of the runner here, and has what the arguments refer to; `manner` only says how.
        Raises HostFaultError where the host died, hung or refused, RefusedError where the call itself was refused.
        """
        generate = [*CALL.split(), "--progress=plain", "-m", SOURCE, "generate", *arguments]
        bring = shlex.join([*generate, "--only-finished", "-o", PREVIOUS, "--case-ids"])
        bring = f'{{ {bring} "$1" && {shlex.join(KEEP)}; }} >/tmp/brought 2>&1'
        relay = ["python", f"{SOURCE}/ci/run/hosts/relay.py", label, bring]
        container = spans.watched(self._reaching(host, container)).with_directory(OUT, dag.directory())
        call = container.with_exec([*relay, *generate, *manner, "-o", OUT], expect=dagger.ReturnType.ANY)
        result = None
        with spans.step(f"call {host.name}"):
            async with anyio.create_task_group() as group:
                group.start_soon(self._watch, host, group.cancel_scope)
                result = await call.sync()
                group.cancel_scope.cancel()
            if result is None:
                raise HostFaultError(f"it stopped answering ({MISSES} times in a row, {ANSWER_S:.0f} s each)")
            if await result.exit_code():
                raise _failure(await result.stdout())
            return result.directory(OUT)

    async def _watch(self, host: FleetHost, call: anyio.CancelScope) -> None:
        """Cancel a call once its host has not answered so many times in a row."""
        misses = 0
        while misses < MISSES:
            await anyio.sleep(0 if misses else HEARTBEAT_S)
            try:
                with spans.step(f"is {host.name} there", unseen=True):
                    await self._answer(host, "version")
                misses = 0
            except HostFaultError:
                misses += 1
        call.cancel()

    async def _answer(self, host: FleetHost, *functions: str) -> str:
        """What a chain of a host's core functions gives.

        Raises HostFaultError where it fails or takes longer than ANSWER_S.
        """
        shell = ["bash", "-c", QUESTION, "-", str(ASKING_S), *CORE.split(), "--progress=plain", "-vv", *functions]
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
            for name, secret in self._connection.keys.items():
                container = container.with_mounted_secret(f"{TLS}/{name}", secret)
            address += f"?ca_path={TLS}/ca.pem&cert_path={TLS}/cert.pem&key_path={TLS}/key.pem"
        return container.with_env_variable("_EXPERIMENTAL_DAGGER_RUNNER_HOST", address)


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

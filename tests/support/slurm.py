"""A real Slurm of two nodes on this machine; its ports, folders, key and daemons are its own, so several may run."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

PROGRAMS = ("setpriv", "munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol")
PATH = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])  # where Debian has the daemons
NODES = {"na": "gpu:h100:2", "nb": "gpu:h200:4"}
CONFIG = """\
ClusterName=gt
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
ReturnToService=2
SlurmctldTimeout=10
SlurmdTimeout=4
KillWait=3
MinJobAge=300
GresTypes=gpu
MpiDefault=none
JobRequeue=1
SchedulerParameters=sched_interval=1,sched_min_interval=0
{nodes}
PartitionName=gpu Nodes=na,nb Default=YES MaxTime=INFINITE State=UP
PartitionName=brief Nodes=na,nb MaxTime=1 State=UP
"""


@dataclass
class Cluster:
    """A running cluster."""

    folder: Path
    env: Mapping[str, str]
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def run(self, *command: str) -> str:
        """What one of Slurm's commands says."""
        return subprocess.run(command, env=self.env, capture_output=True, text=True, check=True, timeout=60).stdout

    def queue(self, *options: str) -> list[str]:
        """The tasks that are neither ended nor cancelled, as `ARRAY_TASK STATE NODE`."""
        return self.run("squeue", "--noheader", "--array", "--format=%i %T %N", *options).splitlines()

    def arrays(self) -> set[str]:
        """All that Slurm remembers."""
        return {line.split()[0].partition("_")[0] for line in self.queue("--states=all")}

    def until(self, holds: Callable[[], object]) -> None:
        """Wait for something. Raises RuntimeError after a minute."""
        deadline = time.monotonic() + 60
        while not holds():
            if time.monotonic() > deadline:
                raise RuntimeError("\n".join(self.queue("--states=all")))
            time.sleep(0.3)

    def start(self, name: str, command: Sequence[str]) -> None:
        """Start a daemon, which ends with this process, however that ends."""
        with (self.folder / f"{name}.out").open("ab") as out:
            tied = ["setpriv", "--pdeathsig", "TERM", *command]
            self.daemons[name] = subprocess.Popen(tied, env=self.env, stdout=out, stderr=out)

    def start_node(self, node: str) -> None:
        """Start a node's daemon."""
        self.start(node, ["slurmd", "-D", "-N", node, "-f", str(self.folder / "slurm.conf")])

    def kill_node(self, node: str) -> None:
        """End a node's daemon and all that runs on it, as when its power fails: nobody is left to say so."""
        self.daemons[node].kill()
        self.daemons[node].wait()
        self._kill_jobs(node)

    def freeze(self, task: str) -> None:
        """Stop what makes a task's case: it hangs, and costs nothing."""
        array, _, number = task.partition("_")
        ours = {f"SLURM_ARRAY_JOB_ID={array}".encode(), f"SLURM_ARRAY_TASK_ID={number}".encode()}
        for process in Path("/proc").glob("[0-9]*"):
            of_task = {*ours, f"SLURM_CONF={self.folder}/slurm.conf".encode()} <= {*_variables(process)}
            if of_task and b"\0work\0" in _read(process / "cmdline"):
                os.kill(int(process.name), signal.SIGSTOP)

    def _kill_jobs(self, node: str) -> None:
        """Kill the jobs of a node; first of all what watches over them and would report their end."""
        processes = list(Path("/proc").glob("[0-9]*"))
        watchers = [process for process in processes if self._watches(process, node)]
        for process in [*watchers, *(process for process in processes if self._is_on(process, node))]:
            with suppress(ProcessLookupError):
                os.kill(int(process.name), signal.SIGKILL)

    def _watches(self, process: Path, node: str) -> bool:
        """A slurmstepd writes the name of its job over its own environment, and has the node's log open."""
        if b"slurmstepd" not in _read(process / "cmdline"):
            return False
        with suppress(OSError):
            return any(file.resolve() == self.folder / f"{node}.log" for file in (process / "fd").iterdir())
        return False

    def _is_on(self, process: Path, node: str) -> bool:
        ours = {f"SLURM_CONF={self.folder}/slurm.conf".encode(), f"SLURMD_NODENAME={node}".encode()}
        return ours <= {*_variables(process)}

    def wait_for(self, node: str, states: Sequence[str] = ("IDLE", "MIXED", "ALLOCATED")) -> None:
        """Until a node is in one of these states. Raises RuntimeError after half a minute."""
        deadline = time.monotonic() + 30
        shown = ""
        while time.monotonic() < deadline:
            with suppress(subprocess.SubprocessError):
                shown = self.run("scontrol", "--oneliner", "show", "node", node)
                if any(f"State={state} " in shown for state in states):
                    return
            time.sleep(0.2)
        said = (self.folder / f"{node}.out").read_text(errors="replace").splitlines()[-5:]
        raise RuntimeError(f"{node} does not come up: {shown.strip()}; it says {said}")

    def stop(self) -> None:
        """End all daemons and jobs."""
        with suppress(subprocess.SubprocessError):
            self.run("scancel", "--user", getpass.getuser())
        for name in ("slurmctld", *NODES, "munged"):
            daemon = self.daemons.get(name)
            if daemon is not None and daemon.poll() is None:
                daemon.terminate()
                with suppress(subprocess.TimeoutExpired):
                    daemon.wait(10)
                daemon.kill()
        for node in NODES:
            self._kill_jobs(node)


def _variables(process: Path) -> list[bytes]:
    return _read(process / "environ").split(b"\0")


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # the process is gone
        return b""


def lacking() -> list[str]:
    """The programs of Slurm and munge that this machine does not have."""
    return [program for program in PROGRAMS if shutil.which(program, path=PATH) is None]


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Start a cluster in an empty folder, whose path is short: a socket's may have 107 characters."""
    started = Cluster(folder, {**os.environ, "PATH": PATH, "SLURM_CONF": str(folder / "slurm.conf")})
    _configure(folder)
    with ExitStack() as stack:
        stack.callback(started.stop)
        started.start("munged", _munged(folder / "munge"))
        _wait_for(folder / "munge" / "socket")
        started.start("slurmctld", ["slurmctld", "-D", "-f", str(folder / "slurm.conf")])
        for node in NODES:
            started.start_node(node)
        for node in NODES:
            started.wait_for(node)
        yield started


def _configure(folder: Path) -> None:
    port, *ports = _free_ports(1 + len(NODES))
    for name in ("state", "munge", *(f"spool.{node}" for node in NODES)):
        (folder / name).mkdir(mode=0o755)
    host = socket.gethostname()
    nodes = [
        f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=8 RealMemory=16000 Gres={gres}"
        for (name, gres), port in zip(NODES.items(), ports, strict=True)
    ]
    text = CONFIG.format(folder=folder, host=host, port=port, user=getpass.getuser(), nodes="\n".join(nodes))
    (folder / "slurm.conf").write_text(text)
    gpus = ["AutoDetect=off"]
    for node, gres in NODES.items():
        _, kind, count = gres.split(":")
        for number in range(int(count)):
            fake = folder / f"{node}.{number}"
            fake.touch()
            gpus.append(f"NodeName={node} Name=gpu Type={kind} File={fake}")
    (folder / "gres.conf").write_text("\n".join(gpus) + "\n")
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n")


def _munged(folder: Path) -> list[str]:
    (folder / "key").write_bytes(os.urandom(128))
    (folder / "key").chmod(0o600)
    files = {"socket": "socket", "key-file": "key", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    options = [f"--{option}={folder / name}" for option, name in files.items()]
    return ["munged", "--foreground", "--force", *options]


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 10
    while not path.exists():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{path} did not appear")
        time.sleep(0.05)

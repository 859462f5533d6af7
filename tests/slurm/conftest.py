"""One Slurm for all tests here, and calls of `gt` on it as a user makes them."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import gt_command
from tests.support.factory import RUNTIME, write_cases
from tests.support.slurm import Cluster, cluster, lacking

SITE = {
    "version": 1,
    "gpus": {"any": {"gres": "gpu:h200", "memory_gb": 3}, "h200": {"memory_gb": 4, "gres": "gpu:h200"}},
}


# What a user may have set for these commands, who also calls `gt` from a job.
OWN = {"SQUEUE_PARTITION": "brief", "SQUEUE_USERS": "nobody", "SCANCEL_PARTITION": "brief", "SBATCH_WAIT": "1"}
OWN |= {"SBATCH_TIMELIMIT": "1", "SBATCH_OUTPUT": "/nowhere/log", "SLURM_RESTART_COUNT": "3"}


@pytest.fixture(scope="session")
def slurm() -> Iterator[Cluster]:
    if missing := lacking():
        pytest.skip(f"no Slurm on this machine ({', '.join(missing)}); .ci/install installs slurm-wlm and munge")
    short = tempfile.TemporaryDirectory(prefix="gt-slurm-", dir="/tmp")  # a socket's path is short
    with short as folder, ExitStack() as stack:
        try:
            started = stack.enter_context(cluster(Path(folder)))
        except (RuntimeError, OSError) as error:
            pytest.skip(f"Slurm does not start here: {error}")
        yield started


def case(steps: int = 2, seed: int = 1, gpu: str = "any") -> dict[str, Any]:
    """A case of a tiny model; cases of different seeds are of different models, and so of different jobs."""
    return {
        "model": {"tiny": "FluxPipeline", "seed": seed},
        "needs": {"gpu": gpu, "minutes": 0.1},
        "call": {"prompt": "a cat", "width": 256, "height": 256, "num_inference_steps": steps, "seed": 1},
        "runtime": RUNTIME,
        "output": {"kind": "image", "format": "png", "name_gpus": 1},
    }


@dataclass
class Call:
    """A running `gt generate`."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    def until(self, pattern: str) -> re.Match[str]:
        """Read until a line is said."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            found = re.search(pattern, line)
            if found:
                return found
        raise AssertionError("the call ended before that line:\n" + self.said)

    def end(self) -> int:
        """Read to its end; returns the exit status."""
        with self.process:
            assert self.process.stderr is not None
            self.lines += self.process.stderr
        return self.process.returncode

    def kill(self) -> None:
        """End it, if it has not ended."""
        with self.process:
            self.process.kill()

    @property
    def said(self) -> str:
        """What it has said so far."""
        return "".join(self.lines)


@dataclass
class User:
    """Someone with a folder, a cache and a site file on the machine that Slurm takes jobs from."""

    cluster: Cluster
    folder: Path

    @property
    def env(self) -> dict[str, str]:
        """The user's environment."""
        cache, site = self.folder / 'cache "of" %a', self.folder / "site.yaml"
        return {**self.cluster.env, **OWN, "GT_CACHE": str(cache), "GT_SLURM_SITE": str(site)}

    def cases(self, **cases: dict[str, Any]) -> str:
        """A folder of these cases."""
        return str(write_cases(self.folder / "cases", cases, "smoke"))

    def site(self, **changes: Any) -> None:
        """Write the site file."""
        (self.folder / "site.yaml").write_text(yaml.safe_dump({**SITE, **changes}))

    def start(self, *arguments: str, slurm: Sequence[str] = ("--slurm",)) -> Call:
        """Start `gt generate`."""
        command = gt_command("generate", "--source-group", "smoke", "--cases", str(self.folder / "cases"), *slurm)
        words = [*command, "-o", "gt", *arguments]
        return Call(subprocess.Popen(words, cwd=self.folder, env=self.env, stderr=subprocess.PIPE, text=True))

    def generate(self, *arguments: str, **options: Any) -> tuple[int, str]:
        """Run it to its end; returns the exit status and what it said."""
        call = self.start(*arguments, **options)
        return call.end(), call.said

    def tasks(self, *options: str) -> list[str]:
        """The tasks of this user's arrays that Slurm has; all that it remembers with --states=all."""
        ours = {file.read_text() for file in self.folder.glob("cache*/slurm/*/id*")}
        return [line.split()[0] for line in self.cluster.queue(*options) if line.partition("_")[0] in ours]

    def content(self, output: str) -> dict[str, bytes]:
        """The images of an artifact."""
        folder = self.folder / output
        return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "manifest.json"}

    def manifest(self, output: str = "gt") -> dict[str, Any]:
        """The artifact's manifest."""
        read: dict[str, Any] = json.loads((self.folder / output / "manifest.json").read_text())
        return read


def made_by(manifest: dict[str, Any], case: str) -> str:
    """The process that made a case."""
    made: str = manifest["cases"][case]["process"]["id"]
    return made


@pytest.fixture
def user(slurm: Cluster, tmp_path: Path) -> User:
    made = User(slurm, tmp_path)
    made.site()
    return made

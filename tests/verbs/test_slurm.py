"""The options for Slurm: taken with a name or alone, and only where they mean something."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Gt

SMOKE = ("--source-group", "smoke")


@pytest.mark.parametrize(
    ("words", "partition"),
    [
        (["--slurm"], None),
        (["--slurm", *SMOKE], None),
        (["--slurm", "gpu"], "gpu"),
        (["--slurm=gpu", *SMOKE], "gpu"),
        (["--slurm", "gpu", "--per-case"], "gpu"),
    ],
)
def test_matrix_prints_the_script_with_the_partition_if_one_is_named(
    gt: Gt, words: list[str], partition: str | None
) -> None:
    run = gt("matrix", *(() if "smoke" in words else SMOKE), *words)
    assert (run.returncode, run.stderr) == (0, "")
    lines = run.stdout.splitlines()
    assert lines[0] == "#!/bin/sh"
    assert {line for line in lines if "--partition" in line} == (
        {f"#SBATCH --partition={partition}"} if partition else set()
    )
    assert "#SBATCH --gres=gpu:1" in lines
    assert any("smoke_t2i" in line for line in lines)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--detach"], "--detach goes with --slurm"),
        (["--slurm", "--detach", "--only-finished"], "leave out --detach"),
        (["--slurm", "--devices", "0"], "--devices names GPUs of this machine"),
        (["--slurm", "a;b"], "a partition's name has letters"),
        (["--slurm", "--slurm-site", "absent.yaml"], "absent.yaml cannot be read"),
        (["--slurm", "--verify", "--detach"], "leave out --detach"),
        (["--slurm", "--fresh", "--detach"], "leave out --detach"),
        (["--slurm", "--only-finished", "--fresh"], "leave one out"),
        (["--slurm", "--on", "mi300x"], "no runner with PyTorch for mi300x"),
        (["--slurm"], "there is no sbatch here"),
        (["--slurm", "a b", "--official", "--case-ids", "wan2_1_t2v_1.3b"], "a partition's name has letters"),
    ],
)
def test_what_cannot_be_sent_is_one_clear_line(gt: Gt, tmp_path: Path, words: list[str], line: str) -> None:
    (tmp_path / "bin").mkdir()
    selection = () if "--official" in words else SMOKE
    run = gt("generate", *selection, *words, "-o", "gt", env={"PATH": str(tmp_path / "bin")})
    assert run.returncode == 2
    assert line in run.stderr
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "gt").exists()


def test_only_finished_looks_for_what_the_clusters_machines_have_made_and_sends_nothing(gt: Gt, tmp_path: Path) -> None:
    run = gt("generate", *SMOKE, "--slurm", "--only-finished", "-o", "gt", env={"PATH": str(tmp_path)})
    assert run.returncode == 1
    assert "0 of 3 cases are in gt" in run.stderr


def test_a_site_file_comes_from_the_environment_too(gt: Gt, tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text("version: 1\ngpus: {any: {gres: gpu:l40s}}\noptions: [--account=gt]\n")
    run = gt("matrix", *SMOKE, "--slurm", env={"GT_SLURM_SITE": str(site)})
    assert "#SBATCH --gres=gpu:l40s:1\n" in run.stdout
    assert "#SBATCH --account=gt\n" in run.stdout
    site.write_text("version: 1\ngpu: {}\n")
    run = gt("matrix", *SMOKE, "--slurm", env={"GT_SLURM_SITE": str(site)})
    assert (run.returncode, "site.yaml:2: gpu" in run.stderr) == (2, True), run.stderr

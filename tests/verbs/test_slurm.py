"""The options for Slurm: taken with a name or alone, and only where they mean something."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.verbs.conftest import Command

SMOKE = ("--source-group", "smoke")


@pytest.fixture(autouse=True)
def _folder_without_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


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
    run_gt: Command, words: list[str], partition: str | None
) -> None:
    output = run_gt("matrix", *(() if "smoke" in words else SMOKE), *words)
    assert (output.status, output.err) == (0, "")
    lines = output.out.splitlines()
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
def test_what_cannot_be_sent_is_one_clear_line(run_gt: Command, tmp_path: Path, words: list[str], line: str) -> None:
    output = run_gt("generate", *(() if "--official" in words else SMOKE), *words, "-o", "gt")
    assert output.status == 2
    assert line in output.err
    assert output.err.count("\n") == 1
    assert not (tmp_path / "gt").exists()


def test_only_finished_looks_for_what_the_clusters_machines_have_made_and_sends_nothing(run_gt: Command) -> None:
    output = run_gt("generate", *SMOKE, "--slurm", "--only-finished", "-o", "gt")
    assert output.status == 1
    assert "0 of 3 cases are in gt" in output.err


def test_a_site_file_comes_from_the_environment_too(
    run_gt: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site.yaml"
    monkeypatch.setenv("GT_SLURM_SITE", str(site))
    site.write_text("version: 1\ngpus: {any: {gres: gpu:l40s}}\noptions: [--account=gt]\n")
    output = run_gt("matrix", *SMOKE, "--slurm")
    assert "#SBATCH --gres=gpu:l40s:1\n" in output.out
    assert "#SBATCH --account=gt\n" in output.out
    site.write_text("version: 1\ngpu: {}\n")
    output = run_gt("matrix", *SMOKE, "--slurm")
    assert (output.status, "site.yaml:2: gpu" in output.err) == (2, True), output.err

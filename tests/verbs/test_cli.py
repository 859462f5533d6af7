"""The verbs of `gt` that run nothing: what they print, how they refuse, and that they stay light."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ci.artifact import folder
from ci.catalogue.files import CASES, Catalogue
from ci.plan import host
from ci.plan.host import Host
from tests.conftest import ROOT
from tests.support.factory import body, write_cases
from tests.support.records import manifest, results
from tests.verbs.conftest import Command

HEAVY = ["torch", "numpy", "diffusers", "transformers", "PIL", "huggingface_hub"]


def test_the_help_lists_every_command_with_a_whole_sentence_on_a_narrow_terminal(
    run_gt: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    output = run_gt("-h")
    assert max(map(len, output.out.splitlines())) <= 80
    assert "matrix JSON" in output.out
    assert not [line for line in output.out.splitlines()[1:] if line.endswith("...")]  # the first one is the usage


def test_the_plan_names_every_case_with_model_gpu_and_minutes_and_where_it_would_run(
    run_gt: Command, catalogue: Catalogue
) -> None:
    output = run_gt("plan", "--official", "--source-group", "diffusers")
    assert output.status == 0
    assert output.out.startswith("11 cases in 10 jobs\n")
    rows = {words[0]: words[1:] for line in output.out.splitlines() if (words := line.split())}
    for name, case in catalogue.cases.items():
        if case.source == "diffusers":
            needs = case.spec.needs
            assert rows[name] == [case.model, needs.gpu, f"{needs.minutes:g}"]
    assert re.search(r"^h200: 4 cases, \d+ min; none here \(8-gpu-h200 in CI\)$", output.out, re.MULTILINE)


@pytest.mark.parametrize(
    ("minutes", "row", "total", "entry"),
    [
        ((2.5,), ["2.5"], 3, 2.5),
        ((2.25,), ["2.3"], 3, 2.25),
        ((0.04,), ["0.1"], 1, 0.04),
        ((0.1, 0.2), ["0.1", "0.2"], 1, 0.3),
        ((0.7, 0.1, 0.2), ["0.7", "0.1", "0.2"], 1, 1.0),
        ((1.0001,), ["1.1"], 2, 1.001),
        ((0.00001,), ["0.1"], 1, 0.001),
        ((100000.4,), ["100000.4"], 100001, 100000.4),
        ((7,), ["7"], 7, 7.0),
    ],
)
def test_nobody_is_told_fewer_minutes_than_are_planned(
    run_gt: Command, tmp_path: Path, minutes: tuple[float, ...], row: list[str], total: int, entry: float
) -> None:
    cases = {f"c{number}": body(needs={"gpu": "h200", "minutes": each}) for number, each in enumerate(minutes)}
    options = ("--official", "--cases", str(write_cases(tmp_path / "cases", cases)))
    plan = run_gt("plan", *options).out
    assert [line.split()[-1] for line in plan.splitlines() if re.match(r"c\d", line)] == row
    assert f", {total} min; " in plan
    assert [job["minutes"] for job in json.loads(run_gt("matrix", *options).out)["include"]] == [entry]


@pytest.mark.parametrize("selection", [["--official"], ["--source-group", "smoke"], []])
@pytest.mark.parametrize("columns", ["80", "20", ""])
def test_the_plan_fits_into_80_columns(
    run_gt: Command, monkeypatch: pytest.MonkeyPatch, selection: list[str], columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert max(map(len, run_gt("plan", *selection).out.splitlines())) <= 80


def test_the_plan_of_what_runs_anywhere_is_for_this_machine(run_gt: Command) -> None:
    output = run_gt("plan", "--source-group", "smoke")
    assert re.search(r"^any: 3 cases, .*; this machine$", output.out, re.MULTILINE)


def test_the_matrix_is_one_json_line_with_a_job_for_each_model(run_gt: Command) -> None:
    output = run_gt("matrix", "--official", "--source-group", "diffusers")
    [line] = output.out.splitlines()
    jobs = json.loads(line)["include"]
    assert len(jobs) == 10
    assert sum(job["case_count"] for job in jobs) == 11
    assert {"job", "case_ids", "case_count", "source", "model", "gpu", "gpus", "runner"} <= set(jobs[0])
    assert jobs[0]["case_ids"] == "flux_2_image_t2i flux_2_ti2i"


def test_the_matrix_per_case_has_a_job_for_each_case(run_gt: Command) -> None:
    jobs = json.loads(run_gt("matrix", "--official", "--source-group", "diffusers", "--per-case").out)["include"]
    assert len(jobs) == 11
    assert all(job["job"] == job["case_ids"] and job["case_count"] == 1 for job in jobs)


def test_cases_are_listed_by_group(run_gt: Command, catalogue: Catalogue) -> None:
    assert run_gt("cases", "list").out.split() == list(catalogue.cases)
    assert run_gt("cases", "list", "--source-group", "smoke").out.split() == ["smoke_t2i", "smoke_ti2i", "smoke_t2v"]


def test_a_case_is_shown_as_its_file_has_it(run_gt: Command) -> None:
    in_file = yaml.safe_load((CASES / "diffusers.yaml").read_text())["cases"]["flux_2_ti2i"]
    assert yaml.safe_load(run_gt("cases", "show", "flux_2_ti2i").out) == {
        "id": "flux_2_ti2i",
        "source": "diffusers",
        **in_file,
    }


def test_our_own_case_files_are_valid(run_gt: Command, catalogue: Catalogue) -> None:
    output = run_gt("cases", "validate")
    assert (output.status, output.err) == (0, "")
    assert output.out.startswith(f"gt: {len(catalogue.cases) + len(catalogue.native)} cases of ")


def test_every_mistake_of_a_case_file_is_a_line_with_file_case_and_key(run_gt: Command, tmp_path: Path) -> None:
    text = (CASES / "smoke.yaml").read_text()
    broken_text = text.replace("height: 128", "heigth: 128", 1).replace("num_frames: 9", "num_frames: nine")
    (tmp_path / "smoke.yaml").write_text(broken_text)
    output = run_gt("cases", "validate", "--cases", tmp_path)
    assert output.status == 2
    head, *mistakes = output.err.splitlines()
    assert head == "gt: 2 mistakes in the case files; nothing was started"
    assert [mistake.split(": ")[1] for mistake in mistakes] == ["smoke_t2i call.heigth", "smoke_t2v call.num_frames"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["plan", "--source-group", "smok"], "gt: no group is named 'smok'; did you mean smoke?"),
        (
            ["matrix", "--official", "--case-ids", "flux_image_t2v"],
            "gt: no case is named 'flux_image_t2v'; did you mean ",
        ),
        (
            ["plan", "--source-group", "smoke", "--on", "h1000"],
            "gt: no GPU kind is named 'h1000'; did you mean h100 or ",
        ),
        (["cases", "show", "smoke_t2x"], "gt: no case is named 'smoke_t2x'; did you mean "),
        (["cases", "show", "layerwise_offload"], "gt: case 'layerwise_offload' has no official reference: "),
        (["cases", "list", "--source-group", "1-gpu"], "gt: group '1-gpu' holds native cases; add --native"),
        (["cases", "list", "--source-group", "sglan"], "gt: no group is named 'sglan'; did you mean sglang?"),
        (
            ["cases", "list", "--native", "--source-group", "ltx23"],
            "gt: group 'ltx23' holds official cases; leave out --native",
        ),
        (["verdict", "--artifact", "absent"], "gt: absent is no artifact: it holds no manifest.json; "),
        (["plan", "--cases", "absent"], "gt: absent holds no case file (*.yaml); "),
    ],
)
def test_bad_input_is_one_line_that_says_what_to_do_next(arguments: list[str], line: str, run_gt: Command) -> None:
    output = run_gt(*arguments)
    assert (output.status, output.out) == (2, "")
    assert output.err.startswith(line)
    assert output.err.count("\n") == 1


def test_the_verdict_is_an_exit_status_and_a_line_for_each_case_that_is_not_there(
    run_gt: Command, tmp_path: Path
) -> None:
    folder.write(tmp_path / "whole", manifest({"one": "ok"}), results(tmp_path / "made", "one"))
    assert run_gt("verdict", "--artifact", tmp_path / "whole").status == 0
    folder.write(tmp_path / "part", manifest({"one": "ok", "two": "failed"}), results(tmp_path / "made", "one"))
    output = run_gt("verdict", "--artifact", tmp_path / "part")
    assert (output.status, output.err) == (1, "gt: two: failed: broken on purpose\n")
    (tmp_path / "whole" / "one_1gpu.png").unlink()
    assert "missing" in run_gt("verdict", "--artifact", tmp_path / "whole").err


def test_the_concurrency_key_takes_the_inputs_of_the_workflow(run_gt: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_REF", "refs/heads/main")
    assert run_gt("concurrency-key", "--source-group", "ltx").out == "diffusion-ci-gt-gen-refs/heads/main-ltx\n"
    assert run_gt("concurrency-key", "--ref", "r", "--official").out == "diffusion-ci-gt-gen-r-true\n"
    one, other = (run_gt("concurrency-key", "--all-inputs", "--case-ids", ids).out for ids in ("a", "b"))
    assert one != other


def test_the_publish_target_is_the_modes_directory_or_the_one_given(run_gt: Command) -> None:
    assert run_gt("publish-target").out == "diffusion-ci/consistency_gt/sglang_generated\n"
    assert run_gt("publish-target", "--official").out == "diffusion-ci/consistency_gt/official_generated\n"
    assert run_gt("publish-target", "--official", "--publish-target-dir", "mine").out == "mine\n"


def test_planning_imports_nothing_heavy() -> None:
    commands = [["plan", "--official"], ["matrix", "--official"], ["cases", "validate"], ["publish-target"]]
    program = f"""
import contextlib, io, sys
from ci import cli
for arguments in {commands!r}:
    sys.argv = ["gt", *arguments]
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
        cli.main()
print(*(name for name in {HEAVY!r} if name in sys.modules))
"""
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


@pytest.mark.parametrize("arguments", [[], ["--on", "any"], ["--source-group", "all"]])
def test_a_generation_of_nothing_that_was_named_says_what_could_be_made_here(
    run_gt: Command, arguments: list[str]
) -> None:
    output = run_gt("generate", *arguments)
    assert (output.status, output.out) == (2, "")
    assert output.err.startswith("gt: name what to make; this machine has ")
    assert all(way in output.err for way in ("--source-group smoke", "--official", "--engine DIR"))


def test_where_no_gpu_is_the_way_to_go_on_without_one_is_named(
    run_gt: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "this_host", lambda _devices: Host("cpu"))
    output = run_gt("generate", "--official", "--source-group", "wan21")
    assert output.status == 2
    assert output.err.splitlines() == [
        "gt: this machine offers cpu (no GPU); what was selected needs something else:",
        "  h100: wan2_1_t2v_1.3b",
        "--on any runs them here on the CPU, for hours, and the manifest says so",
        "--source-group smoke tries everything out, and needs no GPU",
    ]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("generate --on h200", "h200 h200-nvl h200-sxm"),
        ("publish --via g", "git github-api"),
        ("cases sh", "show"),
        ("check --artifact do", ""),
        ("compare --published do", ""),
        ("check --json do", ""),
        ("reproduce do", ""),
    ],
)
def test_words_are_completed_and_paths_left_to_the_shell(
    run_gt: Command, monkeypatch: pytest.MonkeyPatch, words: str, expected: str
) -> None:
    line = f"gt {words}".split()
    monkeypatch.setenv("_GT_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", " ".join(line))
    monkeypatch.setenv("COMP_CWORD", str(len(line) - 1))
    assert sorted(run_gt().out.split()) == expected.split()

"""The promises of a native run: the engine makes the files, they are taken as they are, and nothing outlives it."""

from __future__ import annotations

import argparse
import ast
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import jsonschema
import pytest
import yaml

from ci.catalogue.files import Catalogue
from gt_runner.errors import FetchError
from gt_runner.fetch.serving_checkout import identity_of
from gt_runner.supervise.session import worker_env
from gt_runner.work import serving as runner
from tests.conftest import ROOT, Gt, gt_command
from tests.support.checkout import checkout, picked, sglang_checkout
from tests.support.factory import write_cases

STAND_IN = ROOT / "tests" / "support" / "stand_in_engine"
SCRIPT = Path("python/sglang/multimodal_gen/test/scripts/gen_diffusion_ci_outputs.py")
FILE = yaml.safe_load((STAND_IN / "cases" / "sglang.yaml").read_text())
PYTHON = {
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
}  # it has what the engine needs


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    """A checkout of the stand-in."""
    return Path(shutil.copytree(STAND_IN / "python", tmp_path / "engine" / "python")).parent


Generate = Callable[..., tuple[dict[str, Any], int, str]]


@pytest.fixture
def generate(gt: Gt, engine: Path, tmp_path: Path) -> Generate:
    """Make native cases of the stand-in by the local command; gives the manifest's cases, exit status and log."""

    def run(*ids: str, options: tuple[str, ...] = (), **env: str) -> tuple[dict[str, Any], int, str]:
        folder = cases(tmp_path / "cases", *ids)
        arguments = ["generate", "--cases", str(folder), "--engine", str(engine), "--on", "cpu", "--skip-preflight"]
        run = gt(*arguments, *options, env=PYTHON | env)
        records = json.loads((tmp_path / "gt" / "manifest.json").read_text()) if run.returncode < 2 else {"cases": {}}
        return records["cases"], run.returncode, run.stderr

    return run


def cases(folder: Path, *ids: str, minutes: float = 5) -> Path:
    """Cases of the stand-in in the folder: these, each like the one whose last word it shares."""
    models = {name.rpartition("_")[2]: body for name, body in FILE["cases"].items()}
    bodies = {name: models[name.rpartition("_")[2]] for name in ids} or FILE["cases"]
    bodies = {name: {**body, "needs": {**body["needs"], "limit_minutes": minutes}} for name, body in bodies.items()}
    return write_cases(folder, bodies, "sglang", engine=FILE["engine"])


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_the_files_are_those_that_the_engine_wrote_byte_for_byte(
    generate: Generate, engine: Path, tmp_path: Path
) -> None:
    records, status, _ = generate()
    assert status == 0
    for name, case in FILE["cases"].items():
        script = [sys.executable, engine / SCRIPT, "--suite", case["suite"], "--case-ids", name]
        (tmp_path / name).mkdir()
        subprocess.run([*script, "--out-dir", tmp_path / name], check=True)
        files = {path.name: path.read_bytes() for path in (tmp_path / name).iterdir() if path.suffix != ".wav"}
        assert {file["name"] for file in records[name]["files"]} == files.keys()
        assert {file: (tmp_path / "gt" / file).read_bytes() for file in files} == files


def test_the_manifest_says_what_made_them_and_claims_nothing_else(
    generate: Generate, engine: Path, tmp_path: Path
) -> None:
    records, _, _ = generate("draw_t2v")
    manifest = json.loads((tmp_path / "gt" / "manifest.json").read_text())
    jsonschema.validate(manifest, json.loads((ROOT / "ci" / "artifact" / "manifest.schema.json").read_text()))
    assert manifest["run"]["selection"]["mode"] == "native"
    case = records["draw_t2v"]
    assert case["code"] == {"repo": "sgl-project/sglang", "commit": None, "identity": identity_of(engine)}
    assert case["passed"]["command"][3:] == ["--suite", "2-gpu", "--case-ids", "draw_t2v", "--out-dir", "<out>"]
    assert [case[name] for name in ("seed", "dtype", "generator_device", "pipeline")] == [None] * 4
    assert (case["isolation"], case["weights"], case["inputs"]) == ("none", [], [])
    assert case["versions"]["pillow"]
    assert str(tmp_path) not in json.dumps(manifest)


def test_what_is_made_is_made_again_when_the_checkout_changes_and_only_then(generate: Generate, engine: Path) -> None:
    first = generate("draw_t2i")[0]["draw_t2i"]
    (engine / "python" / "__pycache__").mkdir()
    (engine / "python" / "__pycache__" / "x.pyc").write_text("")
    assert generate("draw_t2i")[0]["draw_t2i"]["process"] == first["process"]
    (engine / SCRIPT).write_text((engine / SCRIPT).read_text() + "\n# changed\n")
    again = generate("draw_t2i")[0]["draw_t2i"]
    assert again["key"] != first["key"]
    assert again["process"] != first["process"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("fail_t2i", "the serving engine's command ended with status 1"),
        (
            "nothing_t2i",
            "the serving engine's command made no nothing_t2i_1gpu.jpg; it made nothing_t2i_1gpu_audio.wav",
        ),
        ("incomplete_t2v", "the serving engine's command made no incomplete_t2v_2gpu_frame_0.png; it made "),
        ("damaged_t2i", "damaged_t2i_1gpu.jpg of the serving engine: truncated: "),
        ("disguised_t2i", "disguised_t2i_1gpu.jpg of the serving engine: wrong format: PNG, the name says JPEG"),
    ],
)
def test_a_case_that_fails_says_why_with_the_end_of_its_log_and_fails_alone(
    name: str, reason: str, generate: Generate, tmp_path: Path
) -> None:
    records, status, _ = generate("draw_t2i", name)
    assert (status, records["draw_t2i"]["status"], records[name]["status"]) == (1, "ok", "failed")
    assert records[name]["reason"].startswith(reason)
    assert str(tmp_path) not in json.dumps(records[name])
    log = "\n".join(records[name]["log"])
    assert f"{name} python" in log  # the command's folder
    assert ("broken on purpose" in log) == (name == "fail_t2i")
    assert not list((tmp_path / "gt").glob(f"{name}*"))


def test_a_command_that_cannot_be_started_is_named(gt: Gt, engine: Path, tmp_path: Path) -> None:
    other_engine = FILE["engine"] | {"command": ["no-such-engine", "{case}"]}
    write_cases(tmp_path / "cases", FILE["cases"], "sglang", engine=other_engine)
    arguments = [
        "--cases",
        "cases",
        "--engine",
        str(engine),
        "--on",
        "cpu",
        "--skip-preflight",
        "--case-ids",
        "draw_t2i",
    ]
    assert "'no-such-engine' cannot be started: No such file" in gt("generate", *arguments, env=PYTHON).stderr


def test_a_server_that_the_engine_leaves_running_is_ended_with_its_case(generate: Generate, tmp_path: Path) -> None:
    records, _, _ = generate("leave_t2i", STAND_IN_LEFT=str(tmp_path / "left"))
    assert records["leave_t2i"]["status"] == "ok"
    assert gone(int((tmp_path / "left").read_text()))


def test_a_case_over_its_limit_is_failed_and_everything_that_it_started_is_gone(
    gt: Gt, engine: Path, tmp_path: Path
) -> None:
    folder = cases(tmp_path / "cases", "hang_t2i", "draw_t2i", minutes=0.05)
    arguments = ["--cases", str(folder), "--engine", str(engine), "--on", "cpu", "--skip-preflight"]
    run = gt("generate", *arguments, env=PYTHON | {"STAND_IN_LEFT": str(tmp_path / "left")})
    assert run.returncode == 1
    records = json.loads((tmp_path / "gt" / "manifest.json").read_text())["cases"]
    assert records["hang_t2i"]["reason"] == "took longer than its limit of 0.05 min"
    assert records["draw_t2i"]["status"] == "ok"
    assert gone(int((tmp_path / "left").read_text()))


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda sign: sign.name)
def test_a_run_that_is_stopped_takes_the_engine_along(sign: signal.Signals, engine: Path, tmp_path: Path) -> None:
    folder, left = cases(tmp_path / "cases", "hang_t2i"), tmp_path / "left"
    arguments = ["--cases", str(folder), "--engine", str(engine), "--on", "cpu", "--skip-preflight"]
    env = {**os.environ, **PYTHON, "STAND_IN_LEFT": str(left)}
    process = subprocess.Popen(gt_command("generate", *arguments), cwd=tmp_path, env=env, stderr=subprocess.DEVNULL)
    until(lambda: left.is_file() and left.read_text() != "")
    process.send_signal(sign)
    process.wait(60)
    until(lambda: gone(int(left.read_text())))


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_engine_has_the_token_the_hub_and_its_variables_and_the_token_shows_nowhere(
    generate: Generate, tmp_path: Path
) -> None:
    records, _, _ = generate("fail_t2i", HF_TOKEN="hf_secret", SGLANG_IS_IN_CI="no")
    assert records["fail_t2i"]["log"][0] == "fail_t2i python HF_TOKEN=*** HF_HUB_OFFLINE=None SGLANG_IS_IN_CI=true"
    assert "hf_secret" not in (tmp_path / "gt" / "manifest.json").read_text()


def test_a_worker_of_an_official_case_still_has_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    shared: dict[str, Any] = {"name": "j", "source": "s", "device": "cuda", "gpu_kind": "h100", "gpus": 2}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    jobs: list[Any] = [{**shared, "cases": [case]} for case in ({"id": "one"}, {"id": "one", "engine": FILE["engine"]})]
    official, native = (worker_env(job, ["4", "5"]) for job in jobs)
    assert ("HF_TOKEN" in official, official["HF_HUB_OFFLINE"]) == (False, "1")
    assert (native["HF_TOKEN"], native.get("HF_HUB_OFFLINE")) == ("hf_secret", None)
    assert official["CUDA_VISIBLE_DEVICES"] == native["CUDA_VISIBLE_DEVICES"] == "4,5"


def test_without_a_checkout_nothing_starts_and_the_message_says_how_to_get_one(gt: Gt, tmp_path: Path) -> None:
    run = gt("generate", "--case-ids", "draw_t2i", "--on", "cpu", "--cases", str(cases(tmp_path / "cases")))
    assert run.returncode == 2
    assert "`git clone https://github.com/sgl-project/sglang DIR && git -C DIR checkout main`" in run.stderr
    assert not (tmp_path / "gt").exists()


def test_a_folder_that_is_another_checkout_is_named(gt: Gt, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    folder = cases(tmp_path / "cases", "draw_t2i")
    run = gt("generate", "--on", "cpu", "--skip-preflight", "--cases", str(folder), "--engine", "other")
    assert "the serving engine's checkout has no folder python: is it one of sgl-project/sglang?" in run.stderr


def test_native_gt_goes_through_every_later_command(gt: Gt, generate: Generate, engine: Path, tmp_path: Path) -> None:
    _, status, _ = generate("draw_t2i", "draw_t2v", options=("--verify",))
    manifest = json.loads((tmp_path / "gt" / "manifest.json").read_text())
    assert (status, [case["reproducible"] for case in manifest["cases"].values()]) == (0, [True, True])
    assert gt("verdict").returncode == 0
    assert "none is bad" in gt("check").stderr
    assert "2 identical" in gt("compare", "--published", "gt", "-o", "compared").stderr
    assert gt("attest", "-o", "statement.json").returncode == 0
    run = gt("reproduce", "gt", env=PYTHON)
    assert run.returncode == 2
    assert "made by sgl-project/sglang at no commit (" in run.stderr
    again = gt("reproduce", "gt", "--engine", str(engine), env=PYTHON)
    assert (again.returncode, again.stderr.splitlines()[-1]) == (0, "gt: 2 of 2 cases are byte for byte the same")
    (engine / "python" / "new.py").write_text("")
    other = gt("reproduce", "gt", "--engine", str(engine), env=PYTHON)
    assert other.returncode == 2
    assert "here it is at no commit (" in other.stderr


def git(folder: Path, *arguments: str) -> str:
    set_ = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
    run = subprocess.run(["git", *set_, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return run.stdout.strip()


def test_a_checkout_is_its_commit_while_it_is_clean_and_else_its_content(engine: Path) -> None:
    def content() -> str:
        identity_of.cache_clear()
        return identity_of(engine)

    plain = content()
    git(engine, "init", "-q")
    (engine / ".gitignore").write_text("built/\n")
    git(engine, "add", ".")
    git(engine, "commit", "-qm", "one")
    commit = f"commit:{git(engine, 'rev-parse', 'HEAD')}"
    assert plain.startswith("sha256:")
    assert content() == commit
    (engine / "built").mkdir()
    (engine / "built" / "x.so").write_text("what git ignores")
    assert content() == commit
    (engine / "new.py").write_text("one")
    first = content()
    (engine / "new.py").write_text("two")
    assert len({commit, first, content()}) == 3
    (engine / "new.py").unlink()
    assert content() == commit
    (engine / ".git" / "HEAD").write_text("nonsense")
    with pytest.raises(FetchError, match="the serving engine's checkout cannot be read"):
        content()


def test_a_link_in_a_checkout_is_where_it_leads_to_and_never_followed(engine: Path) -> None:
    (engine / "loop").symlink_to(".")
    first = identity_of(engine)
    (engine / "loop").unlink()
    (engine / "loop").symlink_to("elsewhere")
    identity_of.cache_clear()
    assert identity_of(engine) != first


def parser_of(monkeypatch: pytest.MonkeyPatch, script: Path, function: str, **names: Any) -> argparse.ArgumentParser:
    """The parser that a function of a real script builds; nothing else of the script is run."""
    build = picked(script, [function], argparse=argparse, **names)[function]
    parsers: list[argparse.ArgumentParser] = []

    def stop(parser: argparse.ArgumentParser) -> NoReturn:
        parsers.append(parser)
        raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", stop)
        with pytest.raises(InterruptedError):
            build()
    return parsers[0]


def sglang_parser(monkeypatch: pytest.MonkeyPatch, suites: list[str]) -> argparse.ArgumentParser:
    return parser_of(monkeypatch, sglang_checkout(SCRIPT) / SCRIPT, "main", SUITES=dict.fromkeys(suites))


def test_the_stand_in_has_the_options_of_the_real_script(monkeypatch: pytest.MonkeyPatch) -> None:
    real = sglang_parser(monkeypatch, ["1-gpu"])
    tree = ast.parse((STAND_IN / SCRIPT).read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    ours = {ast.literal_eval(call.args[0]) for call in calls if call.func.attr == "add_argument"}  # type: ignore[attr-defined]
    assert ours == {option for action in real._actions for option in action.option_strings} - {"-h", "--help"}


def test_the_real_script_takes_the_command_line_of_every_native_case(
    monkeypatch: pytest.MonkeyPatch, catalogue: Catalogue
) -> None:
    suites = sorted({case.spec.suite for case in catalogue.native.values()})  # type: ignore[union-attr]
    real = sglang_parser(monkeypatch, suites)
    for name, case in catalogue.native.items():
        python, m, module, *arguments = runner.arguments(case.data(), {"engine": "/e", "out": "/o"})  # type: ignore[arg-type]
        assert (python, m, Path(*module.split(".")).with_suffix(".py")) == (
            "python",
            "-m",
            SCRIPT.relative_to("python"),
        )
        options = real.parse_args(arguments)
        assert (options.suite, options.case_ids, options.out_dir) == (case.spec.suite, [name], "/o")  # type: ignore[union-attr]
        assert not options.continue_on_error  # a case that fails must end the command with a status


def documented(number: int) -> dict[str, Any]:
    """A case file of docs/run/native.md."""
    page = (ROOT / "docs" / "run" / "native.md").read_text()
    blocks = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    file: dict[str, Any] = yaml.safe_load(blocks[number])
    return file


def test_the_case_files_of_the_documentation_are_valid_and_make_jobs(gt: Gt, tmp_path: Path) -> None:
    for number, name in enumerate(["sglang", "vllm-omni"]):
        file = documented(number)
        folder = write_cases(tmp_path / name, file["cases"], name, engine=file["engine"])
        assert file["source"] == name
        assert gt("cases", "validate", "--cases", str(folder)).stdout == f"gt: 1 case of {name} is valid\n"
        (entry,) = json.loads(gt("matrix", "--cases", str(folder)).stdout)["include"]
        assert (entry["case_ids"], entry["runner"]) == ("qwen_image_t2i", "1-gpu-h100")


def test_the_documentation_shows_our_own_engine_as_it_is(catalogue: Catalogue) -> None:
    shown, ours = documented(0), catalogue.native["qwen_image_t2i"].serving
    assert ours is not None
    assert {name: shown["engine"][name] for name in ("repo", "ref", "install", "command", "folder")} == {
        name: getattr(ours, name) for name in ("repo", "ref", "install", "command", "folder")
    }


def test_the_real_script_of_the_second_engine_takes_the_documented_command_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = documented(1)
    case = {"id": "qwen_image_t2i", "engine": file["engine"], **file["cases"]["qwen_image_t2i"]}
    python, script, *arguments = runner.arguments(case, {"engine": "", "out": "/o"})  # type: ignore[arg-type]
    path = checkout("GT_VLLM_OMNI_CHECKOUT", "vllm-project/vllm-omni", script.lstrip("/")) / script.lstrip("/")
    names = {"functools": functools, "parse_json_object": json.loads, "parse_profiler_config": json.loads}
    platform = SimpleNamespace(pre_register_and_update=lambda _: None)  # it adds options of some hardware
    real = parser_of(monkeypatch, path, "parse_args", current_omni_platform=platform, **names)
    options = real.parse_args(arguments)
    assert (python, options.model, options.output) == ("python", "Qwen/Qwen-Image", "/o/qwen_image_t2i_1gpu.png")
    assert (options.prompt, options.width, options.seed) == ("Doraemon is eating dorayaki", 1024, 42)

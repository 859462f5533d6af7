"""The promises of `gt cases diff`: all that an engine's tests define otherwise than our files, and nothing else."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.catalogue import files as catalogues
from ci.catalogue.files import Catalogue
from ci.catalogue.native import EngineCase
from ci.catalogue.upstream.diff import between, differences
from ci.errors import DefinitionsError
from tests.conftest import SHARED, Gt
from tests.support import sglang_definitions as stand_in
from tests.support.checkout import sglang_checkout
from tests.support.factory import body, write_cases

CASES, CONFIGS = stand_in.SERVER / "gpu_cases.py", stand_in.SERVER / "testcase_configs.py"
SUITES = {"1-gpu": ("h100", 1), "2-gpu": ("h100", 2), "1-gpu-b200": ("b200", 1)}
# Of the files that cases/sglang.yaml was made from, as its head names them.
MADE_FROM = {
    CASES: "397ffceca750b0ae8811a33818851fdc885026524dc54c05de32996d1a7eaf85",
    CONFIGS: "714c48e5e70ff1fdf8f4635167d8e9c16132ddfc4185a0ce443535aa96846bec",
}


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    return stand_in.write_ours(tmp_path / "cases")


def told(ours: Path, tmp_path: Path, changed: dict[Path, tuple[str, str]]) -> list[str]:
    """What is told of a checkout with these changes, line by line."""
    return [*differences(catalogues.load(ours), stand_in.write(tmp_path / "engine", changed)).lines()]


def test_a_checkout_that_says_what_our_files_say_differs_in_nothing(ours: Path, tmp_path: Path) -> None:
    assert told(ours, tmp_path, {}) == []


def test_a_changed_official_case_is_told_key_by_key(ours: Path, tmp_path: Path) -> None:
    config = 'str(HERE / "fox.yaml")]'
    lines = told(ours, tmp_path, {CASES: (config, config.replace("fox", "wolf") + ", num_gpus=4")})
    old, new = (f"str(Path(__file__).parent / 'configs' / '{name}.yaml')" for name in ("fox", "wolf"))
    assert lines == [
        "official cases:",
        "  changed  fox_edit",
        f'    server_args.extras: ["--config", {{"python": "{old}"}}] → ["--config", {{"python": "{new}"}}]',
        "    server_args.num_gpus: nothing → 4",
    ]


def test_a_change_far_from_the_case_is_found(ours: Path, tmp_path: Path) -> None:
    lines = told(ours, tmp_path, {CONFIGS: ('COMMON = {"seed": 7}', 'COMMON = {"seed": os.getpid()}')})
    assert lines == [
        "native cases:",
        "  changed  fox_quick",
        "    sampling_params.extras.seed: 7 → os.getpid()",
        "  changed  fox_b200",
        "    sampling_params.extras.seed: 7 → os.getpid()",
    ]


def test_shared_parameters_count_for_the_cases_of_their_task_alone(ours: Path, tmp_path: Path) -> None:
    shared = 'TEXT_params = DiffusionSamplingParams(prompt=FOX, output_size="64x64")'
    lines = told(ours, tmp_path, {CONFIGS: (shared, shared.replace("64x64", "32x32"))})
    at = lines.index("  changed  fox_t2i")
    assert lines[at + 1] == '    default_sampling_params.T2I.output_size: "64x64" → "32x32"'
    edit = 'EDIT_params = DiffusionSamplingParams(prompt=f"{FOX} in snow"'
    lines = told(ours, tmp_path, {CONFIGS: (edit, edit.replace("snow", "rain"))})
    assert [line for line in lines if line.startswith("  ") and not line.startswith("    ")] == ["  changed  fox_edit"]


def test_a_dropped_case_and_a_new_one_are_told_for_both_modes(ours: Path, tmp_path: Path) -> None:
    assert told(ours, tmp_path, {CASES: ('"fox_t2i"', '"wolf_t2i"')}) == [
        "official cases:",
        "  added    wolf_t2i: new in suite 1-gpu, without an official case",
        "  dropped  fox_t2i: no suite of the engine defines it",
        "native cases:",
        "  added    wolf_t2i: new in suite 1-gpu",
        "  dropped  fox_t2i: no suite of the engine defines it; it was in 1-gpu",
    ]


def test_a_case_that_moved_to_another_suite_is_changed(ours: Path, tmp_path: Path) -> None:
    moved = "B200_CASES = [_make_case("
    lines = told(ours, tmp_path, {CASES: (moved, moved + '"fox_other", extras=[]), _make_case(')})
    assert "  added    fox_other: new in suite 1-gpu-b200" in lines
    lines = told(ours, tmp_path, {CASES: ("ONE_GPU_CASES += QUICK_CASES", "B200_CASES += QUICK_CASES")})
    assert lines == ["native cases:", "  changed  fox_quick", '    suite: "1-gpu" → "1-gpu-b200"']


def test_the_official_matrix_has_its_say(ours: Path, tmp_path: Path) -> None:
    assert told(ours, tmp_path, {stand_in.WORKFLOW: ('"other": ["fox_2gpu"]', '"other": ["fox_quick"]')}) == [
        "official cases:",
        "  added    fox_quick: new in the official matrix",
        "  dropped  fox_2gpu: no longer in the official matrix",
    ]


def test_a_case_that_is_known_to_have_no_reference_is_not_new(ours: Path, tmp_path: Path) -> None:
    known = catalogues.load(ours)
    assert (*known.unavailable, *known.unavailable_native) == ("fox_quick", "fox_local")
    assert not any("fox_local" in line for line in told(ours, tmp_path, {CASES: ('"fox_t2i"', '"wolf_t2i"')}))


def test_what_cannot_be_read_is_a_difference_too(ours: Path, tmp_path: Path) -> None:
    lines = told(
        ours, tmp_path, {CASES: ("FILE_SUITES =", "for more in ():\n    ONE_GPU_CASES.append(more)\nFILE_SUITES =")}
    )
    assert lines == [
        "not read in the engine's suites, so that a case may be missing:",
        "  1-gpu: for more in (): ONE_GPU_CASES.append(more)",
    ]


def test_case_files_without_native_cases_are_refused(tmp_path: Path) -> None:
    folder = write_cases(tmp_path / "cases", {"fox_t2i": body()})
    with pytest.raises(DefinitionsError, match="hold no native case of sglang"):
        differences(catalogues.load(folder), stand_in.write(tmp_path / "engine"))


def test_the_command_exits_as_diff_does(ours: Path, tmp_path: Path, gt: Gt) -> None:
    engine = stand_in.write(tmp_path / "engine")
    same = gt("cases", "diff", "--engine", str(engine), "--cases", str(ours))
    assert (same.returncode, same.stdout, "nothing differs" in same.stderr) == (0, "", True)

    (engine / CASES).write_text(stand_in.CASES.replace('"fox_2gpu"', '"wolf_2gpu"'))
    other = gt("cases", "diff", "--engine", str(engine), "--cases", str(ours), "--json")
    assert other.returncode == 1
    assert json.loads(other.stdout) == {
        "official": {
            "added": {"wolf_2gpu": "new in suite 2-gpu, without an official case"},
            "changed": {},
            "dropped": {"fox_2gpu": "no suite of the engine defines it"},
        },
        "native": {
            "added": {"wolf_2gpu": "new in suite 2-gpu"},
            "changed": {},
            "dropped": {"fox_2gpu": "no suite of the engine defines it; it was in 2-gpu"},
        },
        "unread": [],
    }

    wrong = gt("cases", "diff", "--engine", str(tmp_path), "--cases", str(ours))
    assert wrong.returncode == 2
    assert wrong.stderr.startswith(f"gt: {tmp_path} has no python/sglang/multimodal_gen/test/server/gpu_cases.py")
    assert "Traceback" not in wrong.stderr


values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(old=st.dictionaries(st.sampled_from("xyz"), values), new=st.dictionaries(st.sampled_from("xyz"), values))
def test_two_definitions_differ_in_some_key_just_when_their_json_does(old: dict[str, Any], new: dict[str, Any]) -> None:
    changes = [change.data() for change in between("", old, new)]
    assert bool(changes) == (json.dumps(old, sort_keys=True) != json.dumps(new, sort_keys=True))
    assert all(change["key"] for change in changes)


def native_of(catalogue: Catalogue) -> dict[str, EngineCase]:
    return {name: case.spec for name, case in catalogue.native.items() if isinstance(case.spec, EngineCase)}


def test_our_native_cases_are_those_of_the_facts_less_those_left_out_with_a_reason(catalogue: Catalogue) -> None:
    path = SHARED / "facts" / "upstream.md"
    if not path.is_file():
        pytest.skip(f"the facts that the native cases are compared with are not here: {path}")
    section = path.read_text().split("\n## Native suites", 1)[1].split("\n## ", 1)[0]
    listed = {
        suite: re.split(r",\s+", ids.strip())
        for suite, ids in re.findall(r"^- ([\w-]+): (.*?)(?=^- |\Z)", section, re.MULTILINE | re.DOTALL)
    }
    native = native_of(catalogue)
    for suite in SUITES:
        left_out = [name for name in listed[suite] if name in catalogue.unavailable_native]
        assert [name for name, spec in native.items() if spec.suite == suite] == [
            name for name in listed[suite] if name not in left_out
        ]
    assert catalogue.unavailable_native.keys() <= {name for suite in SUITES for name in listed[suite]}


def test_our_native_cases_say_the_same_in_their_definitions_and_beside_them(catalogue: Catalogue) -> None:
    for name, spec in native_of(catalogue).items():
        arguments = spec.definition["server_args"]
        assert isinstance(arguments, dict)
        assert spec.model.repo == arguments["model_path"], name
        assert (spec.needs.gpu, spec.needs.gpus) == SUITES[spec.suite], name
        assert spec.output.name_gpus == arguments.get("num_gpus", 1), name
        assert arguments.get("modality", spec.output.kind) == spec.output.kind, name
        parameters = spec.definition.get("sampling_params", {})
        assert isinstance(parameters, dict)
        wanted = "png" if spec.output.kind == "video" else parameters.get("output_format", "jpg")
        assert spec.output.format == wanted, name


def test_every_official_case_has_a_native_definition_to_compare_with(catalogue: Catalogue) -> None:
    official = {name for name, case in catalogue.cases.items() if case.official}
    assert official <= catalogue.native.keys()


def test_our_native_cases_were_made_by_this_reading(catalogue: Catalogue) -> None:
    root = sglang_checkout(*MADE_FROM)
    if any(hashlib.sha256((root / path).read_bytes()).hexdigest() != digest for path, digest in MADE_FROM.items()):
        pytest.skip(f"{root} is not the version that cases/sglang.yaml was made from")
    found = differences(catalogue, root)
    assert [*found.lines()] == []

"""The promises of `gt cases diff`: the cases whose upstream text changed, appeared or went, and how it changed."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from ci.catalogue import files as catalogues
from ci.catalogue.files import Catalogue
from ci.catalogue.native import ServingCase
from ci.catalogue.upstream import recorded
from ci.catalogue.upstream.diff import Cases, differences
from ci.errors import DefinitionsError
from ci.verbs.cases import CasesDiff
from ci.verbs.options import Folder
from tests.conftest import SHARED, Gt
from tests.support import sglang_definitions as stand_in
from tests.support.checkout import sglang_checkout
from tests.support.factory import body, write_cases

CASES, CONFIGS = stand_in.SERVER / "gpu_cases.py", stand_in.SERVER / "testcase_configs.py"
NAMES = stand_in.SERVER.parent / "test_utils.py"
SUITES = {
    "1-gpu": ("h100", 1),
    "2-gpu": ("h100", 2),
    "1-gpu-b200": ("b200", 1),
    "1-gpu-5090": ("5090", 1),
    "1-gpu-xpu": ("b60", 1),
    "4-gpu-h100": ("h100", 4),
}
OF_NPUS = {"1-npu": ("ascend-a3", 1), "2-npu": ("ascend-a3", 2)}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stand_in.write_ours(tmp_path_factory.mktemp("ours"))


@pytest.fixture
def ours(written: Path, tmp_path: Path) -> Path:
    shutil.copytree(written, tmp_path / "cases")
    return tmp_path / "cases"


def lines(ours: Path, tmp_path: Path, changed: dict[Path, tuple[str, str]], history: bool = True) -> list[str]:
    """The report on a checkout with these changes, whose history has what is recorded."""
    checkout = stand_in.write(tmp_path / "engine")
    if history:
        stand_in.commit(checkout, "v1.0")
    stand_in.write(checkout, changed)
    return [*differences(catalogues.load(ours), checkout).lines()]


def of_matrix(catalogue: Catalogue) -> set[str]:
    return {name for name, case in catalogue.cases.items() if case.official and not case.by_name}


def changed_ids(report: list[str]) -> set[str]:
    return {name for line in report if line.startswith("  changed  ") for name in line.split(maxsplit=1)[1].split(", ")}


def test_a_checkout_with_the_recorded_texts_differs_in_nothing(ours: Path, tmp_path: Path) -> None:
    assert lines(ours, tmp_path, {}) == []


def test_a_changed_case_is_told_with_the_difference_of_its_text(ours: Path, tmp_path: Path) -> None:
    config = 'str(HERE / "fox.yaml")]'
    assert lines(ours, tmp_path, {CASES: (config, config.replace("fox", "wolf") + ", num_gpus=4")}) == [
        "official cases:",
        "  changed  fox_edit",
        '         "fox_edit",',
        '    -    DiffusionServerArgs(model_path=FOX_MODEL, extras=["--config", str(HERE / "fox.yaml")]),',
        '    +    DiffusionServerArgs(model_path=FOX_MODEL, extras=["--config", str(HERE / "wolf.yaml")], num_gpus=4),',
        "         EDIT_params,",
    ]


def test_a_change_far_from_the_case_is_found_and_told_once_for_all_that_share_it(ours: Path, tmp_path: Path) -> None:
    assert lines(ours, tmp_path, {CONFIGS: ('COMMON = {"seed": 7}', 'COMMON = {"seed": os.getpid()}')}) == [
        "native cases:",
        "  changed  fox_quick, fox_b200",
        "     # python/sglang/multimodal_gen/test/server/testcase_configs.py",
        '    -COMMON = {"seed": 7}',
        '    +COMMON = {"seed": os.getpid()}',
        "     # python/sglang/multimodal_gen/test/server/testcase_configs.py",
    ]


@pytest.mark.parametrize(
    ("file", "old", "new", "changed"),
    [
        (NAMES, '"toys/fox"', '"toys/wolf"', {"fox_t2i", "fox_edit", "fox_2gpu"}),
        (
            CONFIGS,
            "run_consistency_check=False,\n    )",
            "run_consistency_check=True,\n    )",
            {"fox_quick", "fox_b200"},
        ),
        (CONFIGS, '"a red fox"', '"a blue fox"', {"fox_t2i", "fox_edit", "fox_2gpu", "fox_quick", "fox_b200"}),
        (CONFIGS, 'output_size="64x64"', 'output_size="32x32"', {"fox_t2i", "fox_2gpu", "fox_quick", "fox_b200"}),
        (CONFIGS, "in snow", "in rain", {"fox_edit"}),
        (CASES, '    # DiffusionTestCase("commented_out"', '    # DiffusionTestCase("still"', set()),
        (CASES, 'HERE = Path(__file__).parent / "configs"', "HERE = Path(__file__).parent", {"fox_edit"}),
    ],
)
def test_a_case_changes_with_each_text_that_it_is_made_of_and_with_no_other(
    ours: Path, tmp_path: Path, file: Path, old: str, new: str, changed: set[str]
) -> None:
    assert changed_ids(lines(ours, tmp_path, {file: (old, new)})) == changed


def test_shared_parameters_count_for_the_cases_of_their_task_alone(ours: Path, tmp_path: Path) -> None:
    report = lines(ours, tmp_path, {CONFIGS: ("return EDIT_params", "return LOCAL_params")})
    assert changed_ids(report) == set()
    report = lines(ours, tmp_path, {CONFIGS: ("return TEXT_params", "return LOCAL_params")}, history=False)
    assert changed_ids(report) == {"fox_t2i"}


def test_a_case_in_another_list_is_changed(ours: Path, tmp_path: Path) -> None:
    moved = "B200_CASES = [_make_case("
    report = lines(ours, tmp_path, {CASES: (moved, moved.replace("B200", "B300"))})
    assert report[:4] == ["native cases:", "  changed  fox_b200", "    -# in B200_CASES", "    +# in B300_CASES"]


def test_without_the_history_the_new_text_is_told_and_how_to_get_the_old_one(ours: Path, tmp_path: Path) -> None:
    report = lines(ours, tmp_path, {CONFIGS: ("in snow", "in rain")}, history=False)
    assert report[:5] == [
        "official cases:",
        "  changed  fox_edit",
        "    # in ONE_GPU_CASES",
        "    # python/sglang/multimodal_gen/test/server/gpu_cases.py",
        "    DiffusionTestCase(",
    ]
    assert any("in rain" in line for line in report)
    assert report[-1] == "`git fetch --depth 1 https://github.com/sgl-project/sglang tag v1.0` in the checkout gets it"


def test_a_history_that_is_not_what_is_recorded_is_not_shown(ours: Path, tmp_path: Path) -> None:
    checkout = stand_in.write(tmp_path / "engine", {CONFIGS: ("in snow", "in fog")})
    stand_in.commit(checkout, "v1.0")
    stand_in.write(checkout, {CONFIGS: ("in snow", "in rain")})
    report = [*differences(catalogues.load(ours), checkout).lines()]
    assert not any("fog" in line for line in report)
    assert "git fetch" in report[-1]


def test_a_dropped_case_and_a_new_one_are_told_for_both_modes(ours: Path, tmp_path: Path) -> None:
    assert lines(ours, tmp_path, {CASES: ('"fox_t2i"', '"wolf_t2i"')}) == [
        "official cases:",
        "  added    wolf_t2i: new in ONE_GPU_CASES, without an official case",
        "  dropped  fox_t2i: no suite defines it",
        "native cases:",
        "  added    wolf_t2i: new in ONE_GPU_CASES",
        "  dropped  fox_t2i: no suite defines it; it was in 1-gpu",
    ]


def test_a_case_that_was_there_when_the_texts_were_recorded_is_not_new(ours: Path, tmp_path: Path) -> None:
    (ours / "sglang.yaml").write_text((ours / "sglang.yaml").read_text().replace("  fox_b200:", "  fox_own:"))
    assert lines(ours, tmp_path, {}) == [
        "native cases:",
        "  dropped  fox_own: no suite defines it; it was in 1-gpu-b200",
    ]


def test_the_official_matrix_has_its_say(ours: Path, tmp_path: Path) -> None:
    assert lines(ours, tmp_path, {stand_in.WORKFLOW: ('"other": ["fox_2gpu"]', '"other": ["fox_quick"]')}) == [
        "official cases:",
        "  added    fox_quick: new in the official matrix",
        "  dropped  fox_2gpu: no longer in the official matrix",
    ]


def test_a_case_that_is_made_by_name_alone_need_not_be_in_the_matrix_nor_be_defined(ours: Path, tmp_path: Path) -> None:
    cases = {**{name: body() for name in ("fox_t2i", "fox_edit", "fox_2gpu")}, "fox_alone": body(groups=["extra"])}
    write_cases(ours, cases, unavailable={"fox_quick": "quick is a feature of the engine"}, by_name=["extra"])
    assert lines(ours, tmp_path, {}) == []


@pytest.mark.parametrize("text", ["", "jobs: [", "groups = none", "\udcff"])
def test_a_workflow_without_a_matrix_says_nothing(ours: Path, tmp_path: Path, text: str) -> None:
    checkout = stand_in.write(tmp_path / "engine")
    (checkout / stand_in.WORKFLOW).write_bytes(text.encode("utf-8", "surrogateescape"))
    assert not differences(catalogues.load(ours), checkout)


def test_nothing_of_the_checkout_is_run(ours: Path, tmp_path: Path) -> None:
    lines(ours, tmp_path, {CASES: ('"fox_t2i"', '"wolf_t2i"')})
    assert [*(tmp_path / "engine").rglob("was-run")] == []


def test_case_files_without_native_cases_are_refused(tmp_path: Path) -> None:
    folder = write_cases(tmp_path / "cases", {"fox_t2i": body()})
    with pytest.raises(DefinitionsError, match="hold no native case of sglang"):
        differences(catalogues.load(folder), stand_in.write(tmp_path / "engine"))


@pytest.mark.parametrize("text", [None, "", "[]", "{", '{"repo": "a/b", "ref": "v1", "definitions": {"../x": "0"}}'])
def test_case_files_without_a_record_are_refused_with_what_writes_one(
    ours: Path, tmp_path: Path, text: str | None
) -> None:
    (ours / recorded.FILE).unlink()
    if text is not None:
        (ours / recorded.FILE).write_text(text)
    with pytest.raises(DefinitionsError, match=r"`python -m ci.catalogue.upstream CHECKOUT REF --cases DIR` writes it"):
        differences(catalogues.load(ours), stand_in.write(tmp_path / "engine"))


def test_no_control_character_of_a_checkout_reaches_the_terminal(ours: Path, tmp_path: Path) -> None:
    engine = stand_in.write(tmp_path / "engine", {CASES: ('"fox_2gpu", ', '"fox_2gpu", "\x1b]0;\x9b2J\u202e", ')})
    text = CasesDiff(engine=Folder(engine), cases=Folder(ours)).run().text
    assert "fox_2gpu" in text
    assert all(line.isprintable() for line in text.split("\n"))


def test_the_command_exits_as_diff_does(ours: Path, tmp_path: Path, gt: Gt) -> None:
    engine = stand_in.write(tmp_path / "engine")
    same = gt("cases", "diff", "--engine", str(engine), "--cases", str(ours))
    assert (same.returncode, same.stdout, "nothing differs" in same.stderr) == (0, "", True)

    stand_in.write(
        engine,
        {
            CASES: ('"fox_2gpu", DiffusionServerArgs(', '"wolf_2gpu", DiffusionServerArgs('),
            CONFIGS: ("in snow", "in rain"),
        },
    )
    other = gt("cases", "diff", "--engine", str(engine), "--cases", str(ours), "--json")
    assert other.returncode == 1
    report = json.loads(other.stdout)
    change = report["official"]["changed"].pop("fox_edit")
    assert (change["old"], "in rain" in change["new"]) == (None, True)
    assert report == {
        "official": {
            "added": {"wolf_2gpu": "new in TWO_GPU_CASES, without an official case"},
            "changed": {},
            "dropped": {"fox_2gpu": "no suite defines it"},
        },
        "native": {
            "added": {"wolf_2gpu": "new in TWO_GPU_CASES"},
            "changed": {},
            "dropped": {"fox_2gpu": "no suite defines it; it was in 2-gpu"},
        },
        "since": {"repo": "sgl-project/sglang", "ref": "v1.0"},
    }

    wrong = gt("cases", "diff", "--engine", str(tmp_path), "--cases", str(ours))
    assert wrong.returncode == 2
    assert wrong.stderr.startswith(f"gt: {tmp_path} has no python/sglang/multimodal_gen/test/server/gpu_cases.py")
    assert "Traceback" not in wrong.stderr


def native_of(catalogue: Catalogue) -> dict[str, ServingCase]:
    return {name: case.spec for name, case in catalogue.native.items() if isinstance(case.spec, ServingCase)}


def test_our_native_cases_are_those_of_the_facts_less_those_left_out_with_a_reason(catalogue: Catalogue) -> None:
    path = SHARED / "facts" / "upstream.md"
    if not path.is_file():
        pytest.skip(f"the facts that the native cases are compared with are not here: {path}")
    section = path.read_text().split("\n## Native suites", 1)[1].split("\n## ", 1)[0]
    listed = {
        suite: re.split(r",\s+", ids.strip())
        for suite, ids in re.findall(r"^- ([\w-]+): (.*?)(?=^- |\Z)", section, re.MULTILINE | re.DOTALL)
    }
    for suite in SUITES:
        left_out = [name for name in listed[suite] if name in catalogue.unavailable_native]
        assert sorted(name for name, case in catalogue.native.items() if suite in case.suites) == sorted(
            name for name in listed[suite] if name not in left_out
        )
    assert catalogue.unavailable_native.keys() <= {name for suite in SUITES for name in listed[suite]}


def test_our_native_cases_say_the_same_in_their_definitions_and_beside_them(catalogue: Catalogue) -> None:
    for name, spec in native_of(catalogue).items():
        arguments = spec.definition["server_args"]
        assert isinstance(arguments, dict)
        assert spec.model.repo == arguments["model_path"], name
        for suite, needs in {spec.suite: spec.needs, **spec.also}.items():
            assert (needs.gpu, needs.gpus) == (SUITES | OF_NPUS)[suite], name
        assert spec.output.name_gpus == arguments.get("num_gpus", 1), name
        assert arguments.get("modality", spec.output.kind) == spec.output.kind, name
        parameters = spec.definition.get("sampling_params", {})
        assert isinstance(parameters, dict)
        wanted = "png" if spec.output.kind == "video" else parameters.get("output_format", "jpg")
        assert spec.output.format == wanted, name


def test_every_case_of_the_official_matrix_has_a_native_definition_to_compare_with(catalogue: Catalogue) -> None:
    assert of_matrix(catalogue) <= catalogue.native.keys()


def test_our_cases_have_their_upstream_texts_recorded(catalogue: Catalogue) -> None:
    record = recorded.read(catalogues.CASES)
    ours = catalogue.native.keys() | catalogue.unavailable_native.keys()
    # This one stands in no release: our files have it from a copy of the repository between two of them.
    assert ours - record.definitions.keys() == {"lingbot_video_moe_ep2_a2a_t2v"}
    assert of_matrix(catalogue) <= record.definitions.keys()


def test_our_record_is_what_a_checkout_of_that_version_has(catalogue: Catalogue) -> None:
    root = sglang_checkout(CASES, CONFIGS)
    version = root / "python" / "sglang" / "_version.py"
    ref = recorded.read(catalogues.CASES).ref
    if not version.is_file() or f"'{ref.removeprefix('v')}'" not in version.read_text():
        pytest.skip(f"{root} is not {ref}, which is recorded")
    report = differences(catalogue, root)
    assert (report.official, report.native.changed) == (Cases(), {})

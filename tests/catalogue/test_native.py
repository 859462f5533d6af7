"""The promises of native mode as data: its cases beside the official ones, its templates, its partitions as jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.catalogue import files as catalogues
from ci.catalogue import gpus
from ci.catalogue.files import Catalogue
from ci.catalogue.model import RESERVED, Case, model_of
from ci.catalogue.native import PER_CASE, ServingCase, ServingEngine
from ci.catalogue.selection import Selection, select
from ci.errors import CatalogueError, GtError, PublishError, SelectionError
from ci.plan.jobs import MAX_SECONDS, SEVERAL, partition, plan
from ci.plan.matrix import data_of
from ci.plan.workflow import publish_target
from ci.publish.batch import batch
from ci.run import recipes
from ci.run.on_machine import Places
from gt_runner.work import serving as runner
from tests.support.factory import body, write_cases
from tests.support.records import content, file_record, manifest, record

ENGINE: dict[str, Any] = {"repo": "owner/engine", "command": ["make", "{case}"]}


def native_body(suite: str = "1-gpu", gpu: str = "h100", gpus: int = 1, **needs: Any) -> dict[str, Any]:
    """The body of an engine's case."""
    return {
        "suite": suite,
        "model": {"repo": "owner/model"},
        "needs": {"gpu": gpu, "gpus": gpus, **needs},
        "output": {"kind": "image", "format": "jpg", "name_gpus": gpus},
    }


def native(name: str, source: str = "sglang", **changes: Any) -> Case:
    spec = ServingCase.model_validate(native_body(**changes))
    return Case(name, source, spec, None, Path("x.yaml"), serving=ServingEngine.model_validate(ENGINE))


def write(folder: Path, source: str = "sglang", engine: dict[str, Any] | None = None, **cases: Any) -> Path:
    return write_cases(folder, cases or {"one": native_body()}, source, engine=engine or ENGINE)


def mistakes(folder: Path) -> list[str]:
    with pytest.raises(CatalogueError) as raised:
        catalogues.load(folder)
    return [str(mistake) for mistake in raised.value.mistakes]


def test_an_id_can_be_that_of_an_official_and_of_a_native_case(tmp_path: Path) -> None:
    write_cases(tmp_path, {"one": body(), "two": body()})
    known = catalogues.load(write(tmp_path, one=native_body(), three=native_body()))
    assert (list(known.cases), list(known.native)) == (["one", "two"], ["one", "three"])
    assert [case.source for case in select(known, Selection(True, ("one",)))] == ["diffusers"]
    assert [case.source for case in select(known, Selection(False, ("one",)))] == ["sglang"]
    with pytest.raises(SelectionError, match="'three' is native; leave out --official"):
        select(known, Selection(True, ("three",)))
    with pytest.raises(SelectionError, match="'two' is official; add --official"):
        select(known, Selection(False, ("two",)))


@given(modes=st.lists(st.sampled_from([(True,), (False,), (True, False)]), min_size=1, max_size=20))
def test_each_mode_selects_its_own_cases_whatever_ids_they_share(modes: list[tuple[bool, ...]]) -> None:
    official = {f"c{n}": native(f"c{n}", "diffusers") for n, mode in enumerate(modes) if True in mode}
    engines = {f"c{n}": native(f"c{n}") for n, mode in enumerate(modes) if False in mode}
    known = Catalogue(official, {}, engines)
    for mode, cases in ((True, official), (False, engines)):
        if cases:
            assert select(known, Selection(mode)) == list(cases.values())
        else:
            with pytest.raises(SelectionError, match="the selection is empty"):
                select(known, Selection(mode))


def test_native_cases_of_two_serving_engines_are_refused_until_one_is_chosen(tmp_path: Path) -> None:
    write(tmp_path, one=native_body())
    known = catalogues.load(write(tmp_path, "vllm-omni", two=native_body()))
    with pytest.raises(SelectionError, match="native cases of sglang and vllm-omni are selected"):
        select(known, Selection())
    assert [case.id for case in select(known, Selection(source_group="vllm-omni"))] == ["two"]
    assert [case.id for case in select(known, Selection(ids=("one",)))] == ["one"]


def test_a_case_of_several_suites_is_selected_with_the_needs_of_the_suite_that_is_named(tmp_path: Path) -> None:
    also = {"1-gpu-5090": {"gpu": "5090", "minutes": 5}}
    folder = write(
        tmp_path, one=native_body() | {"also": also}, two=native_body(), three=native_body("1-gpu-5090", "5090")
    )
    known = catalogues.load(folder)
    (case,) = select(known, Selection(ids=("one",)))
    assert (case.suites, case.spec.needs.gpu, case.data()["also"]) == (["1-gpu", "1-gpu-5090"], "h100", also)
    (there,) = select(known, Selection(source_group="1-gpu-5090", ids=("one",)))
    assert there.data() == {key: value for key, value in case.data().items() if key != "also"} | {
        "suite": "1-gpu-5090",
        "needs": also["1-gpu-5090"],
    }
    assert [case.id for case in select(known, Selection(source_group="1-gpu-5090"))] == ["one", "three"]
    assert [case.id for case in select(known, Selection(source_group="1-gpu"))] == ["one", "two"]
    assert [case.id for case in select(known, Selection())] == ["one", "two", "three"]
    with pytest.raises(SelectionError, match=r"'two' is not in group '1-gpu-5090'; it is in 1-gpu$"):
        select(known, Selection(source_group="1-gpu-5090", ids=("two",)))


def test_a_suite_that_is_made_by_name_is_left_out_of_all_until_it_or_a_case_of_it_is_named(tmp_path: Path) -> None:
    cases = {"one": native_body(), "two": native_body("slow") | {"groups": ["mine"]}}
    known = catalogues.load(write_cases(tmp_path, cases, "sglang", engine=ENGINE, by_name=["slow"]))
    for selection, ids in (
        (Selection(), ["one"]),
        (Selection(source_group="sglang"), ["one"]),
        (Selection(source_group="slow"), ["two"]),
        (Selection(source_group="mine"), ["two"]),
        (Selection(ids=("two",)), ["two"]),
        (
            Selection(
                ids=(
                    "one",
                    "two",
                )
            ),
            ["one", "two"],
        ),
    ):
        assert [case.id for case in select(known, selection)] == ids, selection


def test_a_suite_by_name_that_no_case_is_in_is_a_mistake(tmp_path: Path) -> None:
    (line,) = mistakes(write_cases(tmp_path, {"one": native_body()}, "sglang", engine=ENGINE, by_name=["1-gpi"]))
    assert line.endswith("expected suites of its cases in by_name; '1-gpi' is none: did you mean 1-gpu?")


def test_official_groups_are_made_by_name_too(tmp_path: Path) -> None:
    cases = {
        "one": body(),
        "two": body(groups=["slow"]),
        "both": body(groups=["diffusers", "slow"]),
        "none": body(groups=[]),
    }
    known = catalogues.load(write_cases(tmp_path, cases, by_name=["slow"]))
    for selection, ids in (
        (Selection(True), ["one", "both", "none"]),
        (Selection(True, source_group="slow"), ["two", "both"]),
        (Selection(True, ("two",)), ["two"]),
    ):
        assert [case.id for case in select(known, selection)] == ids, selection
    alone = catalogues.load(write_cases(tmp_path / "alone", {"two": cases["two"]}, by_name=["slow"]))
    with pytest.raises(SelectionError, match=r"the selection is empty: .*made by name alone: --source-group slow"):
        select(alone, Selection(True))
    (line,) = mistakes(write_cases(tmp_path, cases, by_name=["slw"]))
    assert line.endswith("expected groups of its cases in by_name; 'slw' is none: did you mean slow?")


def test_files_of_one_serving_engine_that_install_it_otherwise_do_not_run_together(tmp_path: Path) -> None:
    write(tmp_path, one=native_body())
    (tmp_path / "sglang.yaml").rename(tmp_path / "others.yaml")
    known = catalogues.load(write(tmp_path, engine=ENGINE | {"install": [["other"]]}, two=native_body()))
    with pytest.raises(SelectionError, match=r"native cases of others\.yaml and sglang\.yaml are selected"):
        select(known, Selection())
    assert [case.id for case in select(known, Selection(ids=("two",)))] == ["two"]


@pytest.mark.parametrize("source", RESERVED)
def test_no_engine_takes_a_name_of_ours(source: str, tmp_path: Path) -> None:
    assert mistakes(write(tmp_path, source)) == [
        f"{source}.yaml:2: source: expected the name of a serving engine; {source!r} is one of ours"
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"command": ["make", "{cases}"]}, "engine.command.1: expected a template of {engine}, {case}, {suite}, "),
        ({"command": ["{case.id}"]}, "engine.command.0: expected a template of "),
        ({"command": ["{case!r}"]}, "engine.command.0: expected a template of "),
        ({"command": ["{case:>9}"]}, "engine.command.0: expected a template of "),
        ({"command": ["{"]}, "engine.command.0: expected a template (Single '{' encountered"),
        ({"command": ["a\0b"]}, "engine.command.0: expected no NUL character"),
        ({"command": []}, "engine.command: expected at least 1 of them"),
        ({"install": [["pip", "{out}"]]}, "engine.install.0.1: expected a template of {engine}, got {out}"),
        ({"environment": {"A": "{case}"}}, "engine.environment.A: expected a template of {engine}, got {case}"),
        ({"environment": {"A=B": "x"}}, "engine.environment.A=B: expected a string to match pattern"),
        ({"folder": "../python"}, "engine.folder: expected a path below the folder"),
        ({"folder": "/python"}, "engine.folder: expected a path below the folder"),
        ({"ref": "--upload-pack=x"}, "engine.ref: expected a string to match pattern"),
        ({"comand": ["x"]}, "engine.comand: unknown key 'comand'; did you mean command?"),
    ],
)
def test_a_mistake_in_an_engine_is_named_with_its_key(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    (line,) = mistakes(write(tmp_path, engine=ENGINE | changes))
    assert said in line


def test_a_mistake_in_a_native_case_is_named_with_case_and_key(tmp_path: Path) -> None:
    wrong = native_body() | {"suit": "1-gpu", "arguments": ["{prompt}"]}
    wrong["output"] = {"kind": "image", "format": "bmp", "name_gpus": 1}
    found = mistakes(write(tmp_path, one=wrong))
    assert [line.split(": ")[1] for line in found] == ["one output.format", "one suit", "one arguments.0"]
    assert "did you mean suite?" in found[1]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"suite": "smoke"}, "expected the name of a group of your own; 'smoke' is one of ours"),
        ({"also": {"all": {"gpu": "b60"}}}, "expected the name of a group of your own; 'all' is one of ours"),
        ({"also": {"1-gpu": {"gpu": "b60"}}}, "expected other suites under also; '1-gpu' is the case's own"),
    ],
)
def test_a_suite_whose_name_means_something_else_is_a_mistake(
    changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    (line,) = mistakes(write(tmp_path, one=native_body() | changes))
    assert said in line


@given(texts=st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=5))
def test_any_text_is_an_argument_as_it_is_once_its_braces_are_written_twice(texts: list[str]) -> None:
    escaped = [text.replace("{", "{{").replace("}", "}}") for text in texts]
    spec = ServingCase.model_validate(native_body() | {"arguments": escaped})
    case = Case("one", "sglang", spec, None, Path("x.yaml"), serving=ServingEngine.model_validate(ENGINE))
    made = runner.arguments(case.data(), {"engine": "/e", "out": "/o"})  # type: ignore[arg-type]
    assert made == ["make", "one", *texts]


@given(value=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_what_takes_a_templates_place_is_no_template_itself(value: str) -> None:
    case = native("one").data()
    case["engine"] = case["engine"] | {"command": [f"<{{{name}}}>" for name in PER_CASE]}
    case |= {"id": value, "suite": value, "model": {"repo": value}}
    assert runner.arguments(case, {"engine": value, "out": value}) == [f"<{value}>"] * len(PER_CASE)  # type: ignore[arg-type]


some_native = st.lists(
    st.tuples(
        st.sampled_from(["1-gpu", "2-gpu", "b"]),
        st.sampled_from(["h100", "b200"]),
        st.sampled_from([1, 2]),
        st.floats(0.01, 60),
    ),
    min_size=1,
    max_size=60,
).map(
    lambda drawn: [
        native(f"c{n}", suite=suite, gpu=gpu, gpus=gpus, minutes=minutes)
        for n, (suite, gpu, gpus, minutes) in enumerate(drawn)
    ]
)


@given(cases=some_native, per_case=st.booleans())
def test_jobs_of_native_cases_are_the_parts_of_their_suites(cases: list[Case], per_case: bool) -> None:
    jobs = plan(cases, per_case=per_case)
    assert sorted(case.id for job in jobs for case in job.cases) == sorted(case.id for case in cases)
    assert len({job.name for job in jobs}) == len(jobs)
    for job in jobs:
        kinds = {(case.spec.suite, case.spec.needs.gpu, case.spec.needs.gpus) for case in job.cases}  # type: ignore[union-attr]
        assert len(kinds) == 1
        assert per_case == (job.name == job.cases[0].id and len(job.cases) == 1)
    if not per_case:
        groups: dict[tuple[Any, ...], dict[str, float]] = {}
        for case in cases:
            key = (case.spec.suite, case.spec.needs.gpu, case.spec.needs.gpus)  # type: ignore[union-attr]
            groups.setdefault(key, {})[case.id] = case.spec.needs.minutes * 60
        wanted = sorted(sorted(part) for seconds in groups.values() for part in partition(seconds))
        assert sorted(sorted(case.id for case in job.cases) for job in jobs) == wanted


FLUX_2_KLEIN, KLEIN_BASE = "flux_2_klein_image_t2i", "flux_2_klein_base_image_t2i"
BY_NAME = {  # suite: runners, folder in the data repository, ids
    "1-gpu-5090": (
        "1-gpu-5090",
        "5090",
        [
            "zimage_image_t2i",
            KLEIN_BASE,
            "wan2_1_t2v_1.3b",
            "turbo_wan2_1_t2v_1.3b",
            "flux_image_t2i_layerwise_cpu_offload_5090",
            "minimax_h3_t2va_consumer_budget_1gpu_5090",
        ],
    ),
    "1-gpu-xpu": ("intel-bmg", "intel_xpu_b60", ["zimage_image_t2i", FLUX_2_KLEIN, KLEIN_BASE, "wan2_1_t2v_1.3b"]),
    "4-gpu-h100": (
        "4-gpu-h100",
        "h100",
        ["minimax_h3_fl2va_first_frame_4gpu_h100", "vdn_h3_t2va_4gpu_h100", "fasth3_t2va_vsa_4gpu_h100"],
    ),
    "1-npu": (
        "linux-aarch64-a3-2",
        "ascend",
        [
            "ernie_image_t2i_1npu",
            "glm_image_t2i_1npu",
            "flux_image_t2i_npu",
            "flux_2_klein_4b_t2i_1npu",
            "z_image_t2i_1npu",
            "wan2_1_t2v_1.3b_1_npu",
            "joyai_image_edit_ti2i_1npu",
        ],
    ),
    "2-npu": (
        "linux-aarch64-a3-16",
        "ascend",
        [
            "flux_2_image_t2i_2npu",
            "qwen_image_t2i_2npu",
            "wan2_2_t2v_14b_w8a8_2npu",
            "minimax_h3_t2va_2npu",
            "ltx_2_ti2va_2npu",
            "mova_360p_ti2va_2npu",
        ],
    ),
}


@pytest.mark.parametrize("suite", BY_NAME)
def test_each_suite_beside_upstreams_gt_workflow_is_planned_by_its_name(catalogue: Catalogue, suite: str) -> None:
    runner_label, folder, ids = BY_NAME[suite]
    cases = select(catalogue, Selection(source_group=suite))
    assert sorted(case.id for case in cases) == sorted(ids)
    assert {gpus.folder_of(case.spec.needs.gpu) for case in cases} == {folder}
    jobs = plan(cases)
    assert {job.runner_label for job in jobs} == {runner_label}
    assert {job.name.rpartition("-")[0] for job in jobs} == {f"sglang-{suite}"}
    assert all(job.minutes * 60 <= MAX_SECONDS for job in jobs)


def test_the_matrix_of_our_native_cases_is_that_of_upstreams_suites(catalogue: Catalogue) -> None:
    entries = data_of(plan(select(catalogue, Selection())))["include"]
    suites: dict[str, set[str]] = {}
    for entry in entries:
        suite, _, part = entry["job"].removeprefix("sglang-").rpartition("-")
        suites.setdefault(suite, set()).add(entry["runner"])
        assert part.isdigit()
        assert entry["minutes"] * 60 <= MAX_SECONDS
        assert entry["model"] == SEVERAL
    assert suites == {"1-gpu": {"1-gpu-h100"}, "2-gpu": {"2-gpu-h100"}, "1-gpu-b200": {"4-gpu-b200"}}
    assert sum(entry["case_count"] for entry in entries) == sum(not case.by_name for case in catalogue.native.values())


def test_an_estimate_that_is_missing_is_five_minutes_and_is_said_to_be_assumed() -> None:
    assumed, given_ = native("one"), native("two", minutes=5)
    assert (assumed.spec.needs.minutes, assumed.assumed, given_.assumed) == (5, True, False)
    assert "minutes" not in assumed.data()["needs"]  # nothing is filled in


def test_a_native_case_comes_back_from_its_own_data() -> None:
    data = native("one", minutes=2).data()
    file = {"version": 1, "source": data.pop("source"), "engine": data.pop("engine"), "cases": {data.pop("id"): data}}
    parsed = model_of(file).validate_python(file)
    assert (parsed.cases["one"], parsed.engine) == (native("one", minutes=2).spec, native("one").serving)


def test_native_gt_of_another_engine_does_not_go_into_sglangs_directory(tmp_path: Path) -> None:
    base = "diffusion-ci/consistency_gt"
    assert publish_target(serving="vllm-omni") == f"{base}/vllm-omni_generated"
    for sources, folder in ((["sglang"], "sglang_generated"), (["vllm-omni"], "vllm-omni_generated")):
        assert list(batch(artifact(tmp_path / folder, sources), bare=True).folders) == [f"{base}/{folder}"]
    with pytest.raises(PublishError, match="native GT of one serving engine"):
        batch(artifact(tmp_path / "both", ["sglang", "vllm-omni"]), bare=True)


def artifact(folder: Path, sources: list[str]) -> Path:
    """Native GT of these engines, a case each."""
    made = manifest(dict.fromkeys(sources, "ok"))
    selection = made.run.selection.model_copy(update={"mode": "native"})
    records = {source: record(source, "ok").model_copy(update={"source": source}) for source in sources}
    run = made.run.model_copy(update={"selection": selection})
    folder.mkdir()
    for source in sources:
        (folder / file_record(source).name).write_bytes(content(source))
    (folder / "manifest.json").write_text(made.model_copy(update={"run": run, "cases": records}).text())
    return folder


def test_what_decides_an_engines_image_is_in_its_recipe() -> None:
    engine = ServingEngine.model_validate(ENGINE)
    first = recipes.engine_recipe("base", engine, "commit:1").digest
    assert first == recipes.engine_recipe("base", engine.model_copy(update={"command": ["other"]}), "commit:1").digest
    others = [
        recipes.engine_recipe("other", engine, "commit:1"),
        recipes.engine_recipe("base", engine, "commit:2"),
        recipes.engine_recipe("base", engine.model_copy(update={"install": [["pip"]]}), "commit:1"),
        recipes.engine_recipe("base", engine.model_copy(update={"environment": {"A": "1"}}), "commit:1"),
        recipes.engine_recipe("base", engine, "commit:1", pulled=True),
    ]
    assert len({first, *(recipe.digest for recipe in others)}) == 6


def test_a_run_without_a_checkout_says_how_to_get_one() -> None:
    with pytest.raises(GtError, match=r"--engine DIR, such as from `git clone https://github\.com/owner/engine DIR"):
        Places().check([native("one")])
    Places(engine=Path()).check([native("one")])

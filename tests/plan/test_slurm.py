"""What Slurm is asked for: the site's words, one array for each kind of GPU, limits from the plan."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.catalogue.files import Catalogue
from ci.catalogue.selection import Selection, select
from ci.errors import GtError, SiteError
from ci.plan import jobs, slurm
from ci.plan.jobs import Job, plan
from ci.plan.slurm import MOST_TASKS, Site
from tests.support.factory import case

DIGEST = "sha256:" + "0" * 64
FILE = f"""\
version: 1
gpus:
  h100: {{gres: gpu:h100_sxm, partition: old, memory_gb: 200}}
  h200: {{gres: gpu, constraint: "h200&ib"}}
container: pyxis
images: {{diffusers: registry.example/gt/diffusers@{DIGEST}}}
options: [--account=gt, --cpus-per-gpu=16]
"""


def options(work: list[Job], site: Site | None = None, partition: str = "") -> list[list[str]]:
    """What each array asks for."""
    scripts = [slurm.script(array, site or Site(), partition, Path("/c"), ["gt-task"]) for array in slurm.arrays(work)]
    return [
        [line.removeprefix("#SBATCH ") for line in text.splitlines() if line.startswith("#SBATCH")] for text in scripts
    ]


def test_a_job_asks_for_its_gpus_by_kind_and_for_memory_and_time_from_the_plan() -> None:
    (arguments,) = options(plan([case("one", gpu="h100", gpus=2)]))
    assert {"--array=0-0", "--gres=gpu:h100:2", "--mem=195G", "--time=33", "--requeue"} <= {*arguments}
    assert not [option for option in arguments if option.startswith("--partition")]
    (arguments,) = options(plan([case("one", gpu="any")]), partition="gpu")
    assert {"--gres=gpu:1", "--mem=7G", "--partition=gpu"} <= {*arguments}
    (arguments,) = options(plan([case("one", gpu="h100")], on="cpu"))
    assert not [option for option in arguments if option.startswith("--gres")]


def test_a_job_asks_for_the_memory_of_its_card_however_little_of_that_its_case_needs() -> None:
    for gpu, memory in (("h100", "--mem=101G"), ("any", "--mem=26G")):
        (arguments,) = options(plan([case("one", gpu=gpu, vram_gb=20)]))
        assert memory in arguments


def test_the_sites_words_win_and_its_options_come_last() -> None:
    site = slurm.read("site.yaml", FILE.encode())
    old, new = sorted(options(plan([case("one", gpu="h100"), case("two", "owner/other", gpu="h200")]), site))
    assert {"--gres=gpu:h100_sxm:1", "--partition=old", "--mem=200G"} <= {*old}
    assert {"--gres=gpu:1", "--constraint=h200&ib"} <= {*new}
    assert old[-2:] == new[-2:] == ["--account=gt", "--cpus-per-gpu=16"]
    (arguments,) = options(plan([case("one", gpu="h100")]), site, "named")
    assert "--partition=named" in arguments


def test_the_script_says_which_image_by_digest_what_runs_on_the_nodes_gets() -> None:
    site = slurm.read("site.yaml", FILE.encode())
    (array,) = slurm.arrays(plan([case("one"), case("two", "owner/other")]))
    for container, words in (
        ("pyxis", f"--container-image=registry.example#gt/diffusers:{DIGEST}"),
        ("apptainer", f"docker://registry.example/gt/diffusers@{DIGEST}"),
    ):
        text = slurm.script(array, site.model_copy(update={"container": container}), "", Path("/c"), ["task"])
        assert [line for line in text.splitlines() if DIGEST in line] == [f"# diffusers in {words}"]
    assert DIGEST not in slurm.script(array, site.model_copy(update={"container": None}), "", Path("/c"), ["task"])


def test_all_official_jobs_are_tasks_of_one_array_for_each_kind(catalogue: Catalogue) -> None:
    work = jobs.plan(select(catalogue, Selection(official=True)))
    arrays = slurm.arrays(work)
    assert sorted(job.name for array in arrays for job in array.jobs) == sorted(job.name for job in work)
    assert len({(array.gpu, array.count) for array in arrays}) == len(arrays)
    for array in arrays:
        assert array.minutes >= max(job.minutes for job in array.jobs)


def test_more_jobs_than_an_array_holds_become_several() -> None:
    work = plan([case(f"case_{number}") for number in range(MOST_TASKS + 1)], per_case=True)
    assert [len(array.jobs) for array in slurm.arrays(work)] == [MOST_TASKS, 1]


def test_a_cluster_with_smaller_arrays_gets_more_of_them() -> None:
    work = plan([case(f"case_{number}") for number in range(5)], per_case=True)
    site = slurm.read("site.yaml", b"most_tasks: 2\n")
    assert [len(array.jobs) for array in slurm.arrays(work, site.most_tasks)] == [2, 2, 1]


ONE = slurm.arrays(plan([case("one")]))[0]


@pytest.mark.parametrize("kind", ["h100-mig-1g.10gb", "h100-mig-1g.10gb+me"])
def test_each_kind_that_a_case_may_need_has_words_of_its_own(kind: str) -> None:
    (arguments,) = options(plan([case("one")], on=kind))
    assert f"--gres=gpu:{kind}:1" in arguments


@pytest.mark.parametrize("option", ["--mem-per-gpu=90G", "--mem-per-cpu 8G"])
def test_a_site_may_ask_for_memory_in_another_way(option: str) -> None:
    site = Site(options=[option])
    arguments = slurm.options(ONE, site, "", Path("/c"))
    assert [word for word in arguments if word.startswith("--mem")] == option.split()[:1]


@pytest.mark.parametrize(
    "option", ["--array=0-1", "--arr=0-1", "--wait", "--clusters=other", "--wrap=true", "--output /x", '--comment="x']
)
def test_an_option_that_would_change_what_runs_or_what_sbatch_answers_is_a_mistake(option: str) -> None:
    with pytest.raises(SiteError, match="expected an option"):
        slurm.read("site.yaml", f"options: ['{option}']\n".encode())


def test_an_option_with_spaces_is_one_argument_and_one_in_the_script() -> None:
    site = slurm.read(
        "site.yaml", b"""options: ['--comment="a b"', '--account=gt', "--constraint='x&y'", '--wait-all-nodes=1']"""
    )
    assert slurm.options(ONE, site, "", Path("/c"))[-4:] == [
        "--comment=a b",
        "--account=gt",
        "--constraint=x&y",
        "--wait-all-nodes=1",
    ]
    text = slurm.script(ONE, site, "", Path("/c"), ["task"])
    assert '#SBATCH --comment="a b"\n#SBATCH --account=gt\n#SBATCH --constraint=x&y\n' in text


@pytest.mark.parametrize("name", ["a\\b", "a\nb"])
def test_a_folder_whose_path_slurm_would_read_otherwise_is_refused(name: str) -> None:
    with pytest.raises(GtError, match="set GT_CACHE to another one"):
        slurm.script(ONE, Site(), "", Path("/", name), ["task"])


@given(name=st.text(min_size=1, max_size=8))
def test_no_name_of_a_partition_adds_anything_to_the_script(name: str) -> None:
    try:
        text = slurm.script(ONE, Site(), name, Path("/c"), ["task"])
    except GtError as error:
        assert "partition" in str(error)  # noqa: PT017
    else:
        assert text.count("\n") == slurm.script(ONE, Site(), "", Path("/c"), ["task"]).count("\n") + 1


def test_paths_with_spaces_percent_signs_and_quotes_reach_the_task(tmp_path: Path) -> None:
    folder = tmp_path / "a b%c'd"
    (array,) = slurm.arrays(plan([case("one")]))
    text = slurm.script(array, Site(), "", folder, ["printf", "%s|"])
    assert "a b%%c'd/%a.log" in text
    run = subprocess.run(
        ["sh"], input=text, capture_output=True, text=True, check=True, env={"SLURM_ARRAY_TASK_ID": "7"}
    )
    assert run.stdout == f"{folder}|7|"


def test_all_mistakes_of_a_site_file_are_said_with_line_and_key() -> None:
    text = (
        FILE.replace("h200:", "h20:")
        .replace("pyxis", "docker")
        .replace("--account", "account")
        .replace("ory_gb", "ory")
    )
    with pytest.raises(SiteError) as error:
        slurm.read("site.yaml", text.encode())
    lines = str(error.value).splitlines()
    assert lines[0] == "4 mistakes in the site file; nothing was started"
    assert "did you mean memory_gb" in str(error.value)
    assert {line.split(":")[1] for line in lines[1:]} == {"3", "4", "5", "7"}


@given(data=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_site_file_gives_a_traceback(data: bytes) -> None:
    try:
        assert isinstance(slurm.read("site.yaml", data), Site)
    except GtError as error:
        assert "site.yaml:" in str(error)  # noqa: PT017

"""The containers of a site: an image is named by its digest, whatever starts it."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from ci.errors import GtError, ImageError
from ci.run.on_slurm import container

DIGEST = "sha256:" + "0" * 64
HUB = {Path("/hub"): "/gt/weights"}


@pytest.mark.parametrize(
    ("image", "name"),
    [
        (f"registry.example/gt/smoke@{DIGEST}", f"registry.example#gt/smoke:{DIGEST}"),
        (f"registry.example:5000/smoke:v1@{DIGEST}", f"registry.example:5000#smoke:{DIGEST}"),
        (f"localhost/smoke@{DIGEST}", f"localhost#smoke:{DIGEST}"),
        (f"owner/smoke@{DIGEST}", f"owner/smoke:{DIGEST}"),
        (f"owner/smoke:v1@{DIGEST}", f"owner/smoke:{DIGEST}"),
    ],
)
def test_pyxis_gets_an_image_by_digest_as_every_version_of_enroot_reads_it(
    image: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "16")
    command = container.within("pyxis", image, ["/cache", "/cases"], HUB)
    assert command == [
        "srun",
        "--ntasks=1",
        "--cpus-per-task=16",
        f"--container-image={name}",
        "--container-mounts=/cache:/cache,/cases:/cases,/hub:/gt/weights",
        "--container-workdir=/gt",
    ]


def test_apptainer_gets_an_image_from_a_registry_or_from_an_archive() -> None:
    from_registry = container.within("apptainer", f"r.example/smoke@{DIGEST}", ["/cache"], HUB)
    assert from_registry[-5:-1] == ["--bind", "/cache:/cache,/hub:/gt/weights", "--pwd", "/gt"]
    assert from_registry[-1] == f"docker://r.example/smoke@{DIGEST}"
    assert container.within("apptainer", "/images/smoke.tar", [], HUB)[-1] == "oci-archive:/images/smoke.tar"


@pytest.mark.parametrize(
    ("settings", "mounts"),
    [
        ({"HF_HOME": "/hf"}, {"/hf": "/gt/weights"}),
        ({"XDG_CACHE_HOME": "/xdg"}, {"/xdg/huggingface": "/gt/weights"}),
        ({"HF_HOME": "/hf", "HF_HUB_CACHE": "/hf/hub"}, {"/hf": "/gt/weights"}),
        ({"HF_HOME": "/hf", "HF_HUB_CACHE": "/big"}, {"/hf": "/gt/weights", "/big": "/gt/weights/hub"}),
    ],
)
def test_the_weights_are_mounted_from_where_the_hubs_library_keeps_them(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], mounts: dict[str, str]
) -> None:
    for name in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert {str(folder): inside for folder, inside in container.weights().items()} == mounts


@pytest.mark.parametrize("name", ["a:b", "a,b"])
def test_a_folder_that_no_mount_can_name_is_refused(name: str) -> None:
    container.check_mounts([Path("/plain"), None], [])
    with pytest.raises(GtError, match=f"'/{name}': a container takes no folder"):
        container.check_mounts([Path("/", name)], [])


def test_an_archive_is_named_by_the_digest_in_its_index(tmp_path: Path) -> None:
    archive = tmp_path / "smoke.tar"
    index = json.dumps({"manifests": [{"digest": DIGEST}]}).encode()
    with tarfile.open(archive, "w") as tar:
        member = tarfile.TarInfo("index.json")
        member.size = len(index)
        tar.addfile(member, io.BytesIO(index))
    assert container.image_record(str(archive)) == {"reference": "smoke.tar", "digest": DIGEST}


@pytest.mark.parametrize("content", [None, b"", b"no archive"])
def test_what_is_no_archive_is_said_with_what_makes_one(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(ImageError, match=r"x\.tar is no OCI archive .*dagger call export"):
        container.image_record(str(tmp_path / "x.tar"))

"""The values for Dagger's Helm chart, and what it makes of them: an engine on each GPU node, behind mutual TLS."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

DEPLOY = ROOT / "deploy"
VALUES = DEPLOY / "kubernetes" / "values.yaml"
STOP_S = 300  # what an engine may need to stop cleanly


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    engine: dict[str, Any] = yaml.safe_load(VALUES.read_text())["engine"]
    return engine


@pytest.fixture(scope="module")
def chart() -> Path:
    """Dagger's chart, whose templates say which values there are."""
    folder = os.environ.get("GT_DAGGER_CHART")
    if folder is None:
        pytest.skip("GT_DAGGER_CHART names no folder of Dagger's Helm chart")
    return Path(folder)


@pytest.fixture(scope="module")
def pod(chart: Path) -> dict[str, Any]:
    """The pod that the chart makes."""
    helm = os.environ.get("GT_HELM")
    if helm is None:
        pytest.skip("GT_HELM names no helm")
    command = [helm, "template", "gt", str(chart), "--namespace", "gt", "--values", str(VALUES)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    documents = {document["kind"]: document for document in yaml.safe_load_all(text)}
    assert documents.keys() == {
        "DaemonSet",
        "ConfigMap",
    }  # no service: it would lead to any of the engines, without TLS
    spec: dict[str, Any] = documents["DaemonSet"]["spec"]["template"]["spec"]
    return spec


def test_the_engine_is_the_modules_version_with_gpus(values: dict[str, Any]) -> None:
    version = json.loads((ROOT / "dagger.json").read_text())["engineVersion"]
    assert values["image"]["ref"] == f"registry.dagger.io/engine:{version}-gpu"
    assert {"name": "_EXPERIMENTAL_DAGGER_GPU_SUPPORT", "value": "1"} in values["env"]
    unit = (DEPLOY / "systemd" / "diffusion-gt-engine.service").read_text()
    assert f"registry.dagger.io/engine:{version}-gpu" in unit


def test_garbage_collection_leaves_room_for_the_weights(values: dict[str, Any]) -> None:
    room = {key: int(size.removesuffix("GB")) for key, size in json.loads(values["configJson"])["gc"].items()}
    assert room["minFreeSpace"] < room["reservedSpace"] < room["maxUsedSpace"]
    assert room["reservedSpace"] >= 900  # all official models


def test_the_engine_itself_listens_on_no_port(values: dict[str, Any]) -> None:
    assert not values.keys() & {"port", "hostPort", "containerPorts", "args"}


def test_tls_in_front_of_it_takes_only_clients_with_a_certificate_and_ends_them_at_a_stop() -> None:
    lines = [line.split("#")[0].split() for line in (DEPLOY / "haproxy.cfg").read_text().splitlines()]
    (bind,) = [line for line in lines if line[:1] == ["bind"]]
    assert bind[-2:] == ["verify", "required"]
    assert "ca-file" in bind
    assert ["server", "engine", "unix@/run/dagger/engine.sock"] in lines
    (limit,) = [line[1] for line in lines if line[:1] == ["hard-stop-after"]]
    assert int(limit.removesuffix("s")) < STOP_S / 2


def test_the_chart_knows_every_value(values: dict[str, Any], chart: Path) -> None:
    templates = "".join(path.read_text() for path in (chart / "templates").iterdir())
    unknown = [key for key in values if f".Values.engine.{key}" not in templates]
    assert unknown == []


def test_the_chart_puts_an_engine_on_each_gpu_node_and_lets_it_stop_cleanly(pod: dict[str, Any]) -> None:
    engine = next(container for container in pod["containers"] if container["name"] == "dagger-engine")
    assert pod["runtimeClassName"] == "nvidia"
    assert pod["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert [taint["key"] for taint in pod["tolerations"]] == ["nvidia.com/gpu"]
    assert pod["terminationGracePeriodSeconds"] == STOP_S
    assert engine["livenessProbe"]["terminationGracePeriodSeconds"] == STOP_S
    assert "ports" not in engine
    assert "args" not in engine
    assert {"name": "varlibdagger", "hostPath": {"path": "/var/lib/dagger-gt"}} in pod["volumes"]
    assert not pod.get("hostNetwork")


def test_the_chart_puts_tls_beside_it_with_what_it_needs_and_no_more(pod: dict[str, Any]) -> None:
    engine, tls = pod["containers"]
    assert [(port["containerPort"], port["hostPort"]) for port in tls["ports"]] == [(8443, 8443)]
    mounts = {mount["mountPath"]: mount for mount in tls["volumeMounts"]}
    assert mounts.keys() == {"/run/dagger", "/etc/diffusion-gt/tls", "/etc/diffusion-gt/haproxy.cfg"}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert {mount["name"] for mount in tls["volumeMounts"]} <= volumes.keys()
    assert volumes["tls"]["secret"]["secretName"] == "gt-tls"
    assert mounts["/run/dagger"]["name"] in {mount["name"] for mount in engine["volumeMounts"]}
    assert "tls" not in {mount["name"] for mount in engine["volumeMounts"]}
    assert tls["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert tls["securityContext"]["readOnlyRootFilesystem"]

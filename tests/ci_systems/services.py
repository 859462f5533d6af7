"""GitHub's services that are not here, as actions with the inputs and outputs of the real ones, on a folder.

The folder (variable GT_SERVICES) holds `repository`, what a checkout gives; `artifacts`, a folder for each name; and
`calls.jsonl`, a line for each call with its job and inputs.
"""

from __future__ import annotations

import fnmatch
import glob
import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

Inputs = dict[str, str]
Outputs = dict[str, str]
HERE = Path(os.environ.get("GT_SERVICES", "."))


def checkout(inputs: Inputs) -> Outputs:
    """Copy the repository into the workspace; another repository, or a ref, is the test's to look at."""
    target = Path(os.environ["GITHUB_WORKSPACE"]) / inputs["path"]
    shutil.copytree(HERE / "repository", target, dirs_exist_ok=True, symlinks=True)
    return {"ref": inputs["ref"], "commit": os.environ["GITHUB_SHA"]}


def upload(inputs: Inputs) -> Outputs:
    """Keep files under their path below what they have in common; a name is given once."""
    files = list(_files(inputs["path"], hidden=inputs["include-hidden-files"] == "true"))
    if not files:
        if inputs["if-no-files-found"] == "error":
            sys.exit(f"No files were found with the provided path: {inputs['path']}")
        return {}
    if re.search(r'[":<>|*?\r\n\\/]', inputs["name"]):
        sys.exit(f"The artifact name is not valid: {inputs['name']!r}")
    target = HERE / "artifacts" / inputs["name"]
    if target.exists() and inputs["overwrite"] != "true":
        sys.exit("Conflict: an artifact with this name already exists on the workflow run")
    shutil.rmtree(target, ignore_errors=True)
    root = Path(os.path.commonpath([file.parent for file in files]))
    for file in files:
        kept = target / file.relative_to(root)
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, kept)
    url = f"https://github.com/{os.environ['GITHUB_REPOSITORY']}/actions/runs/1/artifacts/1"
    return {"artifact-id": "1", "artifact-url": url, "artifact-digest": "0" * 64}


def download(inputs: Inputs) -> Outputs:
    """One artifact into `path`, be it the only one of a pattern; several into a folder each, or merged."""
    target = Path(os.environ["GITHUB_WORKSPACE"]) / inputs["path"]
    named, pattern = inputs["name"], inputs["pattern"] or "*"
    kept = HERE / "artifacts"
    folders = sorted(path for path in kept.glob("*") if fnmatch.fnmatchcase(path.name, named or pattern))
    if named and not folders:
        sys.exit(f"Unable to download artifact(s): Artifact not found for name: {named}")
    for path in folders:
        flat = named or inputs["merge-multiple"] == "true" or len(folders) == 1
        shutil.copytree(path, target if flat else target / path.name, dirs_exist_ok=True)
    return {"download-path": str(target)}


def attest(inputs: Inputs) -> Outputs:
    """Name each file and its digest, unsigned; there must be one."""
    files = list(_files(inputs["subject-path"], hidden=True))
    if not files:
        sys.exit(f"Could not find subject at path {inputs['subject-path']}")
    sums = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    bundle = HERE / "attestation.json"
    bundle.write_text(json.dumps(sums))
    return {"bundle-path": str(bundle), "attestation-id": "1", "attestation-url": "https://github.com/attestations/1"}


def nothing(inputs: Inputs) -> Outputs:
    """What it would install is here already."""
    return {}


def _files(lines: str, *, hidden: bool) -> Iterator[Path]:
    """The files that lines of paths and patterns name; those with a leading ! are left out."""
    left_out = [line[1:] for line in lines.split() if line.startswith("!")]
    for line in (line.strip() for line in lines.splitlines()):
        if not line or line.startswith("!"):
            continue
        for match in sorted(glob.glob(line, recursive=True)):  # noqa: PTH207  # an absolute pattern
            path = Path(match).absolute()
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                dotted = any(part.startswith(".") for part in file.relative_to(path.parent).parts)
                if file.is_file() and (hidden or not dotted) and not any(file.match(each) for each in left_out):
                    yield file


@dataclass(frozen=True)
class Service:
    """An action by its interface: that of the real one at the commit that our files name."""

    inputs: dict[str, str]  # with the real one's defaults
    does: Callable[[Inputs], Outputs]
    outputs: tuple[str, ...] = ()

    def action(self, name: str) -> str:
        """Its action.yml."""
        run = f'"{sys.executable}" "{Path(__file__).resolve()}" {name}'
        step = {"id": "does", "shell": "bash", "run": run, "env": {"GT_INPUTS": "${{ toJSON(inputs) }}"}}
        return yaml.safe_dump(
            {
                "name": name,
                "description": f"Stands in for {name}.",
                "inputs": {key: {"description": key, "default": default} for key, default in self.inputs.items()},
                "outputs": {
                    key: {"description": key, "value": f"${{{{ steps.does.outputs.{key} }}}}"} for key in self.outputs
                },
                "runs": {"using": "composite", "steps": [step]},
            }
        )


def _inputs(*names: str, **defaults: str) -> dict[str, str]:
    return {**dict.fromkeys(names, ""), **{key.replace("_", "-"): value for key, value in defaults.items()}}


SUBJECTS = _inputs(
    "subject-path", "subject-digest", "subject-name", "subject-checksums", "predicate-type", "predicate",
    "predicate-path", "github-token", push_to_registry="false", create_storage_record="true", show_summary="true",
)  # fmt: skip
ATTESTED = ("bundle-path", "attestation-id", "attestation-url", "storage-record-ids")
SERVICES = {
    "actions/checkout": Service(
        _inputs(
            "repository", "ref", "token", "path", "filter", "sparse-checkout", "submodules",
            persist_credentials="true", clean="true", fetch_depth="1", fetch_tags="false", lfs="false",
        ),
        checkout,
        ("ref", "commit"),
    ),
    "actions/upload-artifact": Service(
        _inputs(
            "path", "retention-days", name="artifact", if_no_files_found="warn", compression_level="6",
            overwrite="false", include_hidden_files="false", archive="true",
        ),
        upload,
        ("artifact-id", "artifact-url", "artifact-digest"),
    ),
    "actions/download-artifact": Service(
        _inputs(
            "name", "artifact-ids", "path", "pattern", "github-token", "repository", "run-id",
            merge_multiple="false", skip_decompress="false", digest_mismatch="error",
        ),
        download,
        ("download-path",),
    ),
    "actions/attest": Service({**SUBJECTS, "subject-version": "", "sbom-path": ""}, attest, ATTESTED),
    "actions/attest-build-provenance": Service(SUBJECTS, attest, ATTESTED),
    "astral-sh/setup-uv": Service(_inputs("version", "python-version", enable_cache="auto"), nothing),
}  # fmt: skip


def main() -> None:
    """Do what the named action does; its inputs come as JSON in GT_INPUTS."""
    name, inputs = sys.argv[1], json.loads(os.environ["GT_INPUTS"])
    with (HERE / "calls.jsonl").open("a") as log:
        log.write(json.dumps({"action": name, "job": os.environ["GITHUB_JOB"], "inputs": inputs}) + "\n")
    with Path(os.environ["GITHUB_OUTPUT"]).open("a") as out:
        out.writelines(f"{key}={value}\n" for key, value in SERVICES[name].does(inputs).items())


if __name__ == "__main__":
    main()

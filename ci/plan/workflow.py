"""What a workflow needs before anything runs, by the rules of upstream: concurrency key and publish directory."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

PARENT = "diffusion-ci/consistency_gt"
ENGINE = "sglang"  # whose native GT a workflow's run makes, as upstream has it


@dataclass(frozen=True)
class WorkflowInputs:
    """The inputs of a workflow run, as they were typed."""

    ref: str = ""  # of the CI run, not of the engine
    output_name: str = ""
    case_ids: str = ""
    official_case_ids: str = ""
    source_group: str = ""
    official: bool = False
    publish_target_dir: str = ""


def concurrency_key(inputs: WorkflowInputs, *, all_inputs: bool = False) -> str:
    """Name runs of which a newer one cancels the older.

    The seed's key holds the first input that is not empty, so two different runs with one output name cancel each
    other; `all_inputs` gives a key over all of them instead.
    """
    if all_inputs:
        digest = hashlib.sha256(json.dumps(asdict(inputs), sort_keys=True).encode()).hexdigest()
        return f"diffusion-ci-gt-gen-{inputs.ref}-{digest[:16]}"
    first = (
        inputs.output_name
        or inputs.case_ids
        or inputs.official_case_ids
        or inputs.source_group
        or ("true" if inputs.official else "")  # as GitHub writes a boolean into a string
        or "default"
    )
    return f"diffusion-ci-gt-gen-{inputs.ref}-{first}"


def publish_target(inputs: WorkflowInputs, engine: str = ENGINE) -> str:
    """The directory of the data repository that a run publishes to; an explicit one wins.

    Native GT is that of its engine alone: another one's goes into another directory.
    """
    return inputs.publish_target_dir or f"{PARENT}/{'official' if inputs.official else engine}_generated"

"""What a CI run needs before anything runs: its concurrency key and its publish directory.

Both follow the workflow `diffusion-ci-gt-gen.yml` of sgl-project/sglang, so that one can take the other's place.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from ..catalogue.fields import OFFICIAL, path_name_mistake, relative_path
from ..catalogue.model import RESERVED
from ..errors import GtError

PARENT = "diffusion-ci/consistency_gt"
SERVING = "sglang"  # whose native GT that workflow makes


@dataclass(frozen=True)
class WorkflowInputs:
    """The inputs of a workflow run, as they were typed."""

    ref: str = ""  # of the CI run, not of the serving engine
    output_name: str = ""
    case_ids: str = ""
    official_case_ids: str = ""
    source_group: str = ""
    official: bool = False
    publish_target_dir: str = ""


def concurrency_key(inputs: WorkflowInputs, *, all_inputs: bool = False) -> str:
    """Name runs of which a newer one cancels the older.

    That workflow's key holds the first input that is not empty, so two different runs with one output name cancel each
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


def publish_target(directory: str = "", *, official: bool = False, serving: str = SERVING) -> str:
    """The directory of the data repository that a run publishes to: an explicit one, else that of the mode.

    Each serving engine has a directory of its own for native GT. Raises GtError where the name or the path is none.
    """
    if directory:
        try:
            return relative_path(directory.rstrip("/"))
        except ValueError as error:
            raise GtError(f"{directory!r} is no publish directory: expected {error}") from None
    if not official and (path_name_mistake(serving) or serving in RESERVED):
        raise GtError(f"{serving!r} is no name of a serving engine; name a directory with --publish-target-dir")
    return f"{PARENT}/{OFFICIAL if official else serving}_generated"

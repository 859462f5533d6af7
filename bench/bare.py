"""The bare pipeline: one load and the calls, as a script of a page would do them. It knows nothing of this project.

    python bare.py SPEC.json REPORT.json

The report holds seconds, and the sha256 of what each image would have been saved as: the proof that the same work was
done. Saving is not part of what is measured, so its seconds stand apart.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import time
from pathlib import Path
from typing import Any

DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}


def main(spec: dict[str, Any]) -> dict[str, Any]:
    """Import, load, call. The spec names the model's folder, the device, and the cases as their file has them."""
    cases, device = spec["cases"], spec["device"]
    started = time.perf_counter()
    import torch  # noqa: PLC0415  # importing is a part of what is measured
    from diffusers import DiffusionPipeline  # noqa: PLC0415

    imported = time.perf_counter()
    if device == "cpu":
        torch.set_num_threads(1)
    dtype = getattr(torch, DTYPES[cases[0]["runtime"]["dtype"]])
    pipeline = DiffusionPipeline.from_pretrained(spec["folder"], dtype=dtype, local_files_only=True).to(device)
    if device == "cuda":
        torch.cuda.synchronize()
    loaded = time.perf_counter()
    images, calls = [], []
    for case in cases:
        before = time.perf_counter()
        arguments = dict(case["call"])
        generator_device = case["runtime"]["generator_device"] if device == "cuda" else "cpu"
        arguments["generator"] = torch.Generator(generator_device).manual_seed(arguments.pop("seed"))
        images.append(pipeline(**arguments).images[0])
        calls.append(round(time.perf_counter() - before, 3))
    called = time.perf_counter()
    digests = [_digest(image, case["output"]) for image, case in zip(images, cases, strict=True)]
    return {
        "imports_seconds": round(imported - started, 3),
        "load_seconds": round(loaded - imported, 3),
        "call_seconds": calls,
        "digest_seconds": round(time.perf_counter() - called, 3),
        "images": digests,
    }


def _digest(image: Any, output: dict[str, Any]) -> str:
    file = io.BytesIO()
    image.convert("RGB").save(file, format="JPEG", quality=output["quality"], subsampling=output["subsampling"])
    return hashlib.sha256(file.getvalue()).hexdigest()


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(main(json.loads(Path(sys.argv[1]).read_text()))))

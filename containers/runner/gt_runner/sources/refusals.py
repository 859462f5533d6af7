"""What a source cannot do, whatever its model: found out from the case alone, before anything is fetched or loaded."""

from __future__ import annotations

from typing import Any

from ..contract import Case
from ..errors import SourceError

# Arguments of a pipeline's call that the runner gives itself: another value would change what it can save.
OWNED = frozenset(
    {
        "callback",
        "callback_on_step_end",
        "callback_on_step_end_tensor_inputs",
        "callback_steps",
        "generator",
        "image",
        "output_type",
        "return_dict",
        "seed",
    }
)
OUTPUT_TYPES = (None, "pil", "np", "pt")
SDP_BACKENDS = {"cudnn", "flash", "mem_efficient", "math"}
NONE = {None, "none"}
WAN = {"wan21": "Wan2.1", "wan22": "Wan2.2"}


def check(case: Case, device: str) -> None:
    """Raises SourceError where the source of a case cannot run it on `device` ("cuda" or "cpu")."""
    if "engine" in case:
        return
    call, runtime = case.get("call", {}), {**case.get("runtime", {})}
    extra = call.get("extra", {})
    if owned := sorted(OWNED & extra.keys()):
        raise SourceError(f"call.extra names {', '.join(owned)}, which the runner sets itself; leave them out")
    if twice := sorted(call.keys() & extra.keys()):
        raise SourceError(f"call and call.extra both name {', '.join(twice)}; name each once")
    if call.get("output_type") not in OUTPUT_TYPES:
        raise SourceError(f"output_type {call['output_type']!r} gives no image; choose pil, np or pt")
    if case["source"] in WAN:
        _check_wan(case, runtime, device)
    if case["source"] == "ltx":
        _check_ltx(runtime, device)


def _check_wan(case: Case, runtime: dict[str, Any], device: str) -> None:
    name, images = WAN[case["source"]], len(case.get("inputs", []))
    if device != "cuda":
        raise SourceError(f"{name} runs on CUDA devices only")
    if runtime["generator_device"] != "cuda":
        raise SourceError(f"{name} makes its generator on the GPU: generator_device must be cuda")
    if runtime.get("quantization") not in NONE:
        raise SourceError(f"{name} has no quantization {runtime['quantization']!r}")
    if runtime.get("offload") not in {*NONE, "model"}:
        raise SourceError(f"{name} has no offload {runtime['offload']!r}; there are none and model")
    if case["source"] == "wan21" and (case.get("loras") or images):
        raise SourceError("WanT2V takes neither LoRAs nor input images")
    if case.get("loras") or images > 1:
        raise SourceError("WanTI2V takes no LoRAs, and one input image at most")


def _check_ltx(runtime: dict[str, Any], device: str) -> None:
    if runtime["dtype"] != "bf16":
        raise SourceError(f"LTX-2 computes in bf16, not in {runtime['dtype']}")
    if device == "cuda" and runtime["generator_device"] != "cuda":
        raise SourceError("LTX-2 makes its generator on the GPU: generator_device must be cuda")
    if runtime.get("offload") not in NONE:
        raise SourceError("LTX-2 always frees each part after use: offload must be none")
    if set(runtime["sdp_backends"]) != SDP_BACKENDS:
        raise SourceError(f"sdp_backends must name just {', '.join(sorted(SDP_BACKENDS))}")

"""The environment variables under which an official implementation runs, and on which its results may depend."""

from __future__ import annotations

VARIABLES = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONHASHSEED": "0",
}
ON_GPU = {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}  # as upstream's official step; the caller's own wins

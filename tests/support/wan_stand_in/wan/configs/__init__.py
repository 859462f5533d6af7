"""The configurations by name, with what is read of them."""

from types import SimpleNamespace

import torch

_T2V = SimpleNamespace(param_dtype=torch.bfloat16, t5_dtype=torch.bfloat16)

WAN_CONFIGS = {
    "t2v-14B": _T2V,
    "t2v-1.3B": _T2V,
    "i2v-14B": _T2V,
    "t2i-14B": _T2V,
    "flf2v-14B": _T2V,
    "vace-1.3B": _T2V,
    "vace-14B": _T2V,
    "ti2v-5B": _T2V,
}

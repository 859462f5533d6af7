"""The stand-in for the Wan repositories has the signatures and the names of both, at their pins.

Each is compared where its checkout is at hand.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import wan21, wan22
from tests.support.wan import STAND_IN, signature

RELEASES = [
    (wan21.CHECKOUT, wan21.with_checkout, "text2video"),
    (wan22.CHECKOUT, wan22.with_checkout, "textimage2video"),
]
FUNCTIONS = [("{}.py", "__init__"), ("{}.py", "generate"), ("modules/attention.py", "flash_attention")]
TEXTS = [
    ("{}.py", "from tqdm import tqdm"),
    ("modules/attention.py", "FLASH_ATTN_3_AVAILABLE = False"),
    ("modules/attention.py", "FLASH_ATTN_2_AVAILABLE = False"),
    ("configs/shared_config.py", "param_dtype = torch.bfloat16"),
    ("configs/shared_config.py", "t5_dtype = torch.bfloat16"),
]


@pytest.mark.parametrize(
    ("checkout", "module", "name"),
    [
        pytest.param(checkout, module.format(main), name, marks=mark)
        for checkout, mark, main in RELEASES
        for module, name in FUNCTIONS
    ],
)
def test_the_stand_in_has_the_signatures_of_the_pinned_repository(checkout: Path, module: str, name: str) -> None:
    assert signature(STAND_IN, module, name) == signature(checkout, module, name)


@pytest.mark.parametrize(
    ("checkout", "module", "text"),
    [
        *(
            pytest.param(checkout, module.format(main), text, marks=mark)
            for checkout, mark, main in RELEASES
            for module, text in TEXTS
        ),
        pytest.param(
            wan22.CHECKOUT,
            "textimage2video.py",
            "from .modules.vae2_2 import Wan2_2_VAE",
            marks=wan22.with_checkout,
        ),
    ],
)
def test_the_pinned_repository_has_the_names_that_we_use(checkout: Path, module: str, text: str) -> None:
    assert text in (checkout / "wan" / module).read_text(encoding="utf-8")

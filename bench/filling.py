"""Fills the memory of a GPU, and keeps it until this process is ended: what a user does who takes a card away.

CUDA_VISIBLE_DEVICES=GPU python filling.py
"""

from __future__ import annotations

import ctypes
import time

LARGEST, SMALLEST = 2**30, 2**20  # bytes of one allocation


def main() -> None:
    """Take all there is, and whatever becomes free."""
    driver = ctypes.CDLL("libcuda.so.1")
    device, context, place = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_void_p()
    driver.cuInit(0)
    driver.cuDeviceGet(ctypes.byref(device), 0)
    driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device)
    driver.cuCtxSetCurrent(context)
    while True:
        size = LARGEST
        while size >= SMALLEST:
            if driver.cuMemAlloc_v2(ctypes.byref(place), ctypes.c_size_t(size)):
                size //= 2
        time.sleep(0.01)


if __name__ == "__main__":
    main()

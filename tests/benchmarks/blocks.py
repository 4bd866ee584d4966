"""A process that holds memory for a while."""

import time


def hold(mebibytes: int) -> int:
    block = bytearray(mebibytes * 2**20)
    time.sleep(0.2)
    return len(block) // 2**20

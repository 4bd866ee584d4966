"""Requests parsed without a stop for other requests."""

import asyncio
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy as np
from numpy.typing import NDArray

from components.common.child_processes import end_with_parent
from components.common.data.spec import ImageSpec
from pipelines.models.invocations import parse_invocation

# Bytes that are parsed within milliseconds.
SMALL = 2**18


class Parser:
    """`parse_invocation`, in another process where a body is large: Python's parser lets no other thread run."""

    def __init__(self) -> None:
        self._process: ProcessPoolExecutor | None = None

    async def parse(self, body: bytes, spec: ImageSpec) -> NDArray[np.uint8]:
        """Return what `parse_invocation` returns.

        Raises:
            PipelineError: As `parse_invocation`.
            BrokenProcessPool: The process was killed; the next call starts another.
        """
        if len(body) <= SMALL:
            return parse_invocation(body, spec)
        if self._process is None:
            context = multiprocessing.get_context("spawn")
            self._process = ProcessPoolExecutor(1, context, end_with_parent)
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._process, parse_invocation, body, spec
            )
        except BrokenProcessPool:
            self._process = None
            raise

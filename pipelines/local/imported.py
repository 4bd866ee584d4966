"""Imports of all that the steps use: a fork server is told names of modules, such as this one, and no more."""

from importlib import import_module

from components.common.garbage import imports_stay
from pipelines.local.step_process import IMPORTED

with imports_stay():
    for name in IMPORTED:
        import_module(name)

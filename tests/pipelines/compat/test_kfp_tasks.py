import inspect
from typing import Any

import pytest
from kfp import dsl
from kfp.dsl import pipeline_task

from pipelines.compat.kfp_tasks import options_set_quickly


def _step() -> None: ...


step = dsl.component(_step, base_image="python:3.11")


def test_options_are_set_without_a_look_at_the_callers_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[object] = []
    look = inspect.getframeinfo

    def noted(*given: Any) -> inspect.Traceback:
        looked.append(given)
        return look(*given)

    monkeypatch.setattr(inspect, "getframeinfo", noted)

    def unaided() -> None:
        step().set_cpu_request("1")

    dsl.pipeline(unaided)
    assert looked  # kfp itself looks at them
    looked.clear()
    made = dsl.pipeline(options_set_quickly()(unaided))
    assert not looked
    executors = made.pipeline_spec.deployment_spec["executors"]
    assert executors["exec-step"]["container"]["resources"]["resourceCpuRequest"] == "1"
    assert pipeline_task.inspect is inspect


def test_what_is_refused_is_named_as_by_kfp() -> None:
    def inside() -> None:
        step()

    inner = dsl.pipeline(inside)

    def outer() -> None:
        inner().set_cpu_request("1")

    for function in (outer, options_set_quickly()(outer)):
        with pytest.raises(ValueError, match="set_cpu_request can only be used on single-step components"):
            dsl.pipeline(function)
    assert pipeline_task.inspect is inspect

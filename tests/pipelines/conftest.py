"""The pipeline as it is compiled for Kubeflow."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.compile import compile_pipeline

IMAGE = f"registry.example.org:5000/team/mnist-pipeline@sha256:{'3f2a' * 16}"


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled pipeline's file."""
    target = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    compile_pipeline(target, IMAGE)
    return target


@pytest.fixture(scope="session")
def documents(package: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Its two documents: pipeline spec and platform spec."""
    spec, platform = yaml.safe_load_all(package.read_text())
    return spec, platform

"""The steps' image holds the packages that the steps import, and no others."""

import ast
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
# Where a module is not called like its package.
PACKAGES = {
    "PIL": "pillow",
    "mlflow": "mlflow-skinny",
    "psycopg2": "psycopg2-binary",
    "sklearn": "scikit-learn",
}
# Imported by no module of ours: kfp runs the steps, Keras's flavour of
# MLflow needs pandas, tf2onnx needs onnx, and botocore is boto3's. `mypy_boto3_s3` is for type checks alone.
UNSEEN = {"kfp", "onnx", "pandas"}


def imported() -> set[str]:
    modules = set()
    for path in (ROOT / "components").rglob("*.py"):
        if path.name == "component.py":  # what Kubeflow compiles; its body imports step.py
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                modules.add(node.module.partition(".")[0])
    return modules - sys.stdlib_module_names - {"components", "tensorflow", "botocore", "mypy_boto3_s3"}


def test_the_image_has_what_the_steps_import_and_no_more() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    installed = {Requirement(line).name for line in groups["steps"]}
    assert {PACKAGES.get(module, module) for module in imported()} == installed - UNSEEN

"""The pipeline as Kubernetes resources, as infra/gitops applies them."""

import shutil
from pathlib import Path

from google.protobuf.json_format import ParseDict
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec

from pipelines.compile import compile_pipeline
from tests.infra.manifests import INFRA, kustomize, of_kind

COMMIT = "3f2a" * 10


def test_the_compiled_resources_render(tmp_path: Path) -> None:
    shutil.copy(INFRA / "gitops" / "kustomization.yaml", tmp_path)
    compile_pipeline(tmp_path / "pipeline.yaml", f"mnist-pipeline:{COMMIT}", kubernetes_manifests=True)
    resources = kustomize(tmp_path)
    (pipeline,) = of_kind(resources, "Pipeline")
    (version,) = of_kind(resources, "PipelineVersion")
    for resource in resources:
        assert resource["apiVersion"] == "pipelines.kubeflow.org/v2beta1"
        assert resource["metadata"]["namespace"] == "kubeflow"
    assert version["metadata"]["name"] == f"mnist-pipeline-{COMMIT[:12]}"
    assert version["spec"]["pipelineName"] == pipeline["metadata"]["name"]
    ParseDict(version["spec"]["pipelineSpec"], PipelineSpec())

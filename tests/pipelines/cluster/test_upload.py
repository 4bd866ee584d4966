import hashlib
import os

import pytest

from pipelines.cluster.package import compiled
from tests.pipelines.cluster.conftest import COMMIT, CommandLine
from tests.pipelines.cluster.kubeflow import Kubeflow

OTHER = f"mnist-pipeline@sha256:{'b' * 64}"


def test_the_first_upload_makes_the_pipeline_and_its_version(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine
) -> None:
    done = mnist_pipeline("upload")
    assert (done.status, done.err) == (0, [])
    (pipeline,), (version,) = kubeflow.pipelines, kubeflow.versions
    assert pipeline["display_name"] == "mnist-pipeline"
    assert version["name"] == f"mnist-pipeline-{COMMIT[:12]}"
    details = f"pipelines/details/{pipeline['pipeline_id']}/version/{version['pipeline_version_id']}"
    assert done.out == [f"version {version['name']}  {os.environ['KF_PIPELINES_ENDPOINT']}/#/{details}"]
    with compiled(f"mnist-pipeline:{COMMIT}") as package:
        digest = hashlib.sha256(package.path.read_bytes()).hexdigest()
    assert version["description"] == f"package sha256:{digest}"


def test_what_pods_are_given_makes_another_version(kubeflow: Kubeflow, mnist_pipeline: CommandLine) -> None:
    assert mnist_pipeline("upload").status == 0
    assert mnist_pipeline("upload", "--set", "queue=team-a").status == 0
    plain, given = (version["name"] for version in kubeflow.versions)
    assert given.startswith(f"{plain}-")
    refused = mnist_pipeline("schedule", "set", "nightly", "--cron", "0 3 * * *", "--set", "queue=team-a")
    assert refused.err[-1].startswith("error: queue must be given where the pipeline is compiled")


def test_an_upload_that_changes_nothing_is_refused(kubeflow: Kubeflow, mnist_pipeline: CommandLine) -> None:
    assert mnist_pipeline("upload").status == 0
    again = mnist_pipeline("upload")
    assert (again.status, again.out, len(kubeflow.versions)) == (1, [], 1)
    assert again.err == [
        f"error: a new version must differ from the newest one, but 'mnist-pipeline-{COMMIT[:12]}' of "
        "'mnist-pipeline' is this very package: change something, or name another image."
    ]


def test_an_older_package_may_come_back_as_the_newest(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine
) -> None:
    for options in ([], ["--image", OTHER], []):
        assert mnist_pipeline("upload", *options).status == 0
    assert [version["name"] for version in kubeflow.versions] == [
        f"mnist-pipeline-{COMMIT[:12]}",
        f"mnist-pipeline-{'b' * 12}",
        f"mnist-pipeline-{COMMIT[:12]}-2",
    ]
    assert len(kubeflow.pipelines) == 1


def test_an_upload_that_broke_off_after_the_pipeline_is_taken_up(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine
) -> None:
    kubeflow.pipelines.append({"pipeline_id": "p", "display_name": "digits", "name": "digits"})
    assert mnist_pipeline("upload", "--pipeline", "digits").status == 0
    (version,) = kubeflow.versions
    assert (version["pipeline_id"], version["name"]) == ("p", f"digits-{COMMIT[:12]}")


@pytest.mark.parametrize("image", ["mnist-pipeline:latest", "mnist-pipeline"])
def test_a_mutable_image_is_refused_before_anything_is_asked(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine, image: str
) -> None:
    done = mnist_pipeline("upload", "--image", image)
    assert done.status == 1
    assert done.err[0].startswith("error: the image must be named by a digest")
    assert kubeflow.requests == []

from mlflow.server import constants

from pipelines.compat.mlflow_server import server_variables


def test_the_variables_are_those_of_this_mlflow_and_still_private() -> None:
    expected = {
        constants.BACKEND_STORE_URI_ENV_VAR: "sqlite:///mlflow.db",
        constants.REGISTRY_STORE_URI_ENV_VAR: "sqlite:///mlflow.db",
        constants.ARTIFACT_ROOT_ENV_VAR: "mlflow-artifacts:/",
        constants.ARTIFACTS_DESTINATION_ENV_VAR: "s3://bucket/mlflow",
        constants.SERVE_ARTIFACTS_ENV_VAR: "true",
    }
    assert server_variables(database="sqlite:///mlflow.db", artifacts="s3://bucket/mlflow") == expected
    assert all(name.startswith("_") for name in expected)

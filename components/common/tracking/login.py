"""The login to the MLflow server, found as MLflow's own client finds it."""

import configparser
from pathlib import Path

from components.common.errors import PipelineError
from components.common.settings import settings

USER, PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
CREDENTIALS = "~/.mlflow/credentials"


def login_variables() -> dict[str, str]:
    """Return user and password as variables; empty without either.

    They come from the address of the server, then from the variables themselves, then from MLflow's file of
    credentials.

    Raises:
        PipelineError: That file is damaged.
    """
    given = settings()
    user, password = given.mlflow_tracking_username, given.mlflow_tracking_password
    if not user or not password:
        kept = configparser.ConfigParser()
        try:
            kept.read(Path(CREDENTIALS).expanduser())
            if kept.has_section("mlflow"):
                user = user or kept.get("mlflow", USER.lower(), fallback=None)
                password = password or kept.get("mlflow", PASSWORD.lower(), fallback="")
        except configparser.Error as error:
            raise PipelineError(
                f"{CREDENTIALS} must be a file of MLflow's credentials but is not ({type(error).__name__}): correct it."
            ) from None
    return {USER: user, PASSWORD: password} if user and password else {}

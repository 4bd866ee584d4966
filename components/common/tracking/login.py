"""The login to the MLflow server, found as MLflow's own client finds it."""

import configparser
from pathlib import Path

from components.common.errors import PipelineError
from components.common.settings import settings
from components.common.storage.address import in_clear

USER, PASSWORD, TOKEN = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"
CREDENTIALS = "~/.mlflow/credentials"


def login_variables() -> dict[str, str]:
    """Return the login as variables: user and password, or a token, or nothing.

    User and password come from the address of the server, then from the variables themselves, then from MLflow's file
    of credentials. A token counts without either.

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
    if user and password:
        return {USER: user, PASSWORD: password}
    return {TOKEN: given.mlflow_tracking_token} if given.mlflow_tracking_token else {}


def login_in_clear(tracking_uri: str) -> bool:
    """Return whether a network can read a login on its way to a server.

    Raises:
        PipelineError: MLflow's file of credentials is damaged.
    """
    # A signature of AWS shows no key.
    return in_clear(tracking_uri) and bool(login_variables() or settings().mlflow_tracking_auth)

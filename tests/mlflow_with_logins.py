"""MLflow's server with its basic-auth application, on a listening socket: `python -m tests.mlflow_with_logins FD`.

Flask-WTF, which MLflow takes for the page of a browser on which users sign up, is replaced: no client asks that page.
"""

import sys
from types import ModuleType
from typing import Any

import uvicorn


class CSRFProtect:
    """Protects nothing."""

    def init_app(self, _: Any) -> None:
        """Leave the application as it is."""


def main(descriptor: int) -> None:
    """Serve until SIGTERM; the variables are those that `mlflow server` sets for its workers."""
    replaced = ModuleType("flask_wtf.csrf")
    vars(replaced)["CSRFProtect"] = CSRFProtect
    sys.modules |= {"flask_wtf": ModuleType("flask_wtf"), replaced.__name__: replaced}
    uvicorn.run("mlflow.server.auth:create_app", factory=True, fd=descriptor, lifespan="off")


if __name__ == "__main__":
    main(int(sys.argv[1]))

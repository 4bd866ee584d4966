"""The object store of the addresses that a user gives to a command."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from components.common.settings import exported, settings

# Of the embedded store. MLflow's, and the keys that sign, stay as they are.
STORE_VARIABLES = ("S3_", "AWS_")


@contextmanager
def store_of(addresses: Iterable[str], home: Path) -> Iterator[None]:
    """Use the embedded store where an address begins with `s3://` and the settings name no store.

    Without its address a client would ask AWS S3, as whoever this machine's keys of AWS belong to.
    """
    named = settings().s3_endpoint_url or settings().s3_bucket
    if named or not any(address.startswith("s3://") for address in addresses):
        yield
        return
    # Commands on files of this machine do not wait for these imports.
    from pipelines.local.home import Home
    from pipelines.local.platform import embedded_platform

    with embedded_platform(Home(home)) as platform:
        variables = platform.environment.items()
        with exported({name: value for name, value in variables if name.startswith(STORE_VARIABLES)}):
            yield

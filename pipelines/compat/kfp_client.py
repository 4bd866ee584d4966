"""kfp's client: the transport below it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import kfp
    from kfp_server_api import ApiClient


def api_client_of(client: "kfp.Client") -> "ApiClient":
    """Return the generated client that makes all requests; its `rest_client` and `configuration` may be replaced."""
    # kfp 2.17.0: `kfp.Client` has no parameter for timeouts or retries, and no public way to its `ApiClient`. Without
    # a timeout a server that accepts connections and does not answer keeps a command waiting for ever.
    return client._run_api.api_client

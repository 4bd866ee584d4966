"""kfp's client: the transport below it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import kfp
    from kfp_server_api import ApiClient
    from urllib3 import HTTPResponse


def api_client_of(client: "kfp.Client") -> "ApiClient":
    """Return the generated client that makes all requests; its `rest_client` and `configuration` may be replaced."""
    # kfp 2.17.0: `kfp.Client` has no parameter for timeouts or retries, and no public way to its `ApiClient`. Without
    # a timeout a server that accepts connections and does not answer keeps a command waiting for ever.
    return client._run_api.api_client


@contextmanager
def streamed_text(
    client: "kfp.Client", url: str, query: Mapping[str, str], seconds: float
) -> "Iterator[HTTPResponse]":
    """Ask for a page of plain text with the client's login, and yield the answer before it is read.

    Args:
        client: The client.
        url: Address of the page, of the server's UI or of its API.
        query: Its query.
        seconds: Longest wait for the connection, and for each part of the answer.
    """
    # kfp 2.17.0: the generated client has no method for logs, and a generic call reads all of an answer into memory.
    api = api_client_of(client)
    headers = dict(api.default_headers)
    if api.cookie:
        headers["Cookie"] = api.cookie
    api.update_params_for_auth(headers, [], ["Bearer"])
    response = api.rest_client.pool_manager.request(
        "GET",
        url,
        fields=dict(query),
        headers=headers,
        timeout=seconds,
        preload_content=False,
    )
    response.auto_close = False  # else it is closed to a reader of its text once its last byte is read
    try:
        yield response
    finally:
        response.close()

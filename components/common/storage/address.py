"""Addresses of data: a path, or a file, http(s) or s3 URI; and what of an address may be seen."""

import os
import re
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from components.common.errors import PipelineError
from components.common.settings import settings

SCHEMES = ("file", "http", "https", "s3")
# An address that grants access stands in a variable, and `env:NAME` in its place.
VARIABLE = "env:"
VARIABLES = ("DATA_URI", "MNIST_DATA_URI")
# A host with or without a port; anything else may be a part of a password.
HOST = re.compile(r"([\w.~-]*|\[[\da-fA-F:.]*\])(:\d*)?")
# In a text, an address up to its host. No blank is in an address, and what looks like a longer password goes too.
LOGIN = re.compile(r"(\w://)\S*@")
GIVE_AN_ADDRESS = "give --data another address, or set MNIST_DATA_URI (docs/your-data.md)"
LOGIN_IN_CLEAR = "has no encryption: everybody on the way can read the login"


def absolute_uri(address: str) -> str:
    """Return the URI of a path that exists, or a URI as it is.

    Raises:
        PipelineError: It is neither.
    """
    scheme, is_uri, _ = address.partition("://")
    if scheme in SCHEMES:
        return address
    if is_uri:
        raise PipelineError(
            f"data must be a path or a file, http, https or s3 URI but is {shown(address)}: correct it."
        )
    try:
        return Path(address).expanduser().resolve(strict=True).as_uri()
    # A name that no file can have raises other errors than that of a missing file.
    except (OSError, RuntimeError, ValueError):
        raise PipelineError(
            f"data must be mnist, digits, a path or a URI but {os.path.abspath(address)} does not exist: correct it."  # noqa: PTH100
        ) from None


def shown(uri: str) -> str:
    """Return an address as it may be recorded and shown: without user, password, query and fragment.

    Each of these may grant access: a password, or the signature of a presigned address. A key in `s3://` may itself
    hold a question mark. Of an address whose host cannot be told from a password, only the scheme is left.
    """
    scheme, is_uri, rest = uri.partition("://")
    if not is_uri or scheme == "file":
        return uri
    if scheme != "s3":
        rest = re.split(r"[?#]", rest, maxsplit=1)[0]
    authority, slash, path = rest.partition("/")
    host = authority.rpartition("@")[2]
    told = HOST.fullmatch(host) and (host or not scheme.startswith("http"))
    return f"{scheme}://{host}{slash}{path}" if told else f"{scheme}://..."


def without_logins(text: str) -> str:
    """Return a text of another program without user and password in the addresses that it names."""
    return LOGIN.sub(r"\1", text)


def grants_access(address: str) -> bool:
    """Return whether an address holds what not everybody may see: a user, a password or a query."""
    if address.startswith(("http://", "https://")):
        return shown(address) != address.partition("#")[0]
    return address.startswith("s3://") and shown(address) != address


def in_clear(address: str) -> bool:
    """Return whether a network can read what is sent there: http, and not to this machine."""
    parts = urlsplit(address)
    name = parts.hostname or ""
    try:
        here = ip_address(name).is_loopback
    except ValueError:
        here = name == "localhost" or name.endswith(".localhost")
    return parts.scheme == "http" and not here


def looked_up(address: str) -> str:
    """Return the address in the variable that `env:NAME` names; any other address as it is.

    Raises:
        PipelineError: The variable is not set, or none of those that may be named.
    """
    if not address.startswith(VARIABLE):
        return address
    name = address.removeprefix(VARIABLE)
    if name not in VARIABLES:
        raise PipelineError(
            f"data must name one of {', '.join(VARIABLES)} after {VARIABLE} but names {name!r}."
        )
    if not (found := getattr(settings(), name.lower())):
        raise PipelineError(
            f"{name} must hold the address of the data but is not set: set it, on a cluster in the Secret "
            "mnist-pipeline-data."
        )
    return str(found)

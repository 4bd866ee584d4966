"""Files by address: a path, or a file, http(s) or s3 URI."""

import re
import shutil
import urllib.parse
import urllib.request
from pathlib import Path

from components.common.errors import PipelineError
from components.common.storage.object_store import ObjectStore

CONNECT_SECONDS, READ_SECONDS = 3, 30
GIVE_AN_ADDRESS = "give --data another address, or set MNIST_DATA_URI (docs/your-data.md)"


def absolute_uri(address: str) -> str:
    """Return the URI of a path that exists, or a URI as it is.

    Raises:
        PipelineError: It is neither.
    """
    scheme, is_uri, _ = address.partition("://")
    if scheme in {"file", "http", "https", "s3"}:
        return address
    if is_uri:
        raise PipelineError(
            f"data must be a path or a file, http, https or s3 URI but is {address}: correct it."
        )
    path = Path(address).expanduser().resolve()
    if not path.exists():
        raise PipelineError(
            f"data must be mnist, digits, a path or a URI but {path} does not exist: correct it."
        )
    return path.as_uri()


def shown(uri: str) -> str:
    """Return an address as it may be recorded and shown: without user, password, query and fragment.

    Each of these may grant access: a password, or the signature of a presigned address. A key in `s3://` may
    itself hold a question mark.
    """
    scheme, is_uri, rest = uri.partition("://")
    if not is_uri or scheme in {"file", "s3"}:
        return uri
    authority, slash, path = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"


def fetch(uri: str, target: Path) -> bool:
    """Copy the file at `uri` to `target`; return False where there is none.

    Raises:
        PipelineError: The server does not answer, or refuses.
    """
    scheme, _, _ = uri.partition("://")
    if scheme == "file":
        return _copy(Path(urllib.request.url2pathname(urllib.parse.urlsplit(uri).path)), target)
    if scheme == "s3":
        store, key = ObjectStore.for_uri(uri)
        return store.download(key, target)
    return _download(uri, target)


def _copy(path: Path, target: Path) -> bool:
    if not path.is_file():
        return False
    shutil.copyfile(path, target)
    return True


def _download(uri: str, target: Path) -> bool:
    import requests

    name = shown(uri)
    try:
        with requests.get(uri, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS)) as response:
            # A public bucket that may not be listed answers 403 for an object that it does not have.
            if response.status_code in {403, 404}:
                return False
            response.raise_for_status()
            with target.open("wb") as file:
                file.writelines(response.iter_content(1 << 20))
    except requests.HTTPError as error:
        raise PipelineError(f"{name} answers {error.response.status_code}.") from error
    except requests.RequestException as error:
        raise PipelineError(f"{name} does not answer ({type(error).__name__}).") from error
    return True

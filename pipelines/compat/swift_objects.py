"""Objects of the embedded store, read from its directory while no server runs."""

from hashlib import md5
from pathlib import Path


def object_file(store: Path, account: str, bucket: str, key: str) -> Path | None:
    """Return the file that holds an object, None where there is no such object.

    An object that was stored in several parts is not found by this: its file lists the parts.

    Args:
        store: Directory of the store.
        account: Swift's name of the account, without prefix.
        bucket: The bucket.
        key: The object's key.
    """
    # Swift 2.38: an object's directory is named by a digest, salted by `swift_hash_path_suffix`, below a part of it.
    # `pipelines.local.swift_server` gives the suffix, and one partition, 0. The newest file counts; it ends in `.ts`
    # where the object was deleted.
    name = f"/AUTH_{account}/{bucket}/{key}mnist-pipeline"
    digest = md5(name.encode(), usedforsecurity=False).hexdigest()
    directory = store / "disk" / "objects" / "0" / digest[-3:] / digest
    states = sorted(path for path in directory.glob("*") if path.suffix in {".data", ".ts"})
    return states[-1] if states and states[-1].suffix == ".data" else None

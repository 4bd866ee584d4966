"""A report on a home: its servers, the commands that use them, and the space that each part takes."""

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipelines.local.clients import ClientRecord, scan_clients
from pipelines.local.home import Home
from pipelines.local.keeper import LINGER_SECONDS, KeeperState
from pipelines.local.keeper_control import living_keeper

PARTS = ("store", "mlflow", "kfp", "checkpoints", "optuna", "logs")


@dataclass(frozen=True)
class Usage:
    """The state of a home.

    Attributes:
        home: Its path.
        keeper: State of the process that keeps the servers, None where none runs.
        until_down: Whether the servers stay without clients.
        clients: The commands that use the home, in the order of their arrival.
        disk: Bytes that each part takes.
    """

    home: Path
    keeper: KeeperState | None
    until_down: bool
    clients: list[ClientRecord]
    disk: dict[str, int]

    def as_json(self) -> dict[str, Any]:
        """Return what `status --json` prints."""
        keeper = self.keeper
        servers = {
            name: {"address": address, "port": int(address.rpartition(":")[2]), "ready": name in keeper.ready}
            for name, address in (keeper.addresses.items() if keeper else ())
        } if keeper else {}  # fmt: skip
        return {
            "home": str(self.home),
            "running": keeper is not None,
            "pid": keeper.pid if keeper else None,
            "since": keeper.since if keeper else None,
            "until_down": self.until_down,
            "servers": servers,
            "clients": [asdict(client) for client in self.clients],
            "disk": self.disk,
        }

    def lines(self) -> Iterator[str]:
        """Yield the lines that `status` prints."""
        yield f"home      {self.home}"
        if self.keeper:
            until = (
                "`mnist-pipeline down`" if self.until_down else f"{LINGER_SECONDS:.0f} s after its last use"
            )
            yield f"keeper    process {self.keeper.pid}, since {self.keeper.since}, until {until}"
            for name, address in self.keeper.addresses.items():
                yield f"{name:9} {address}{'' if name in self.keeper.ready else '  (starting)'}"
        else:
            yield "keeper    none: no server runs"
        for client in self.clients:
            yield f"user      {client.command}  process {client.pid}, since {client.since}{_doing(client)}"
        total = sum(self.disk.values())
        parts = ", ".join(f"{part} {mebibytes(size)}" for part, size in self.disk.items())
        yield f"disk      {mebibytes(total)}: {parts}"


def _doing(client: ClientRecord) -> str:
    if client.run:
        return f", run {client.run}"
    return ", waiting for its turn" if client.queued else ""


def home_usage(home: Home) -> Usage:
    """Return the state of a home; nothing is started, and a home that does not exist is not made."""
    disk = {part: bytes_below(home.path / part) for part in PARTS}
    if not home.keeper.is_dir():
        return Usage(home.path, None, False, [], disk)
    with home.mutex():
        clients, _ = scan_clients(home)
        return Usage(home.path, living_keeper(home), home.kept_until_down.exists(), clients, disk)


def bytes_below(directory: Path) -> int:
    """Return the bytes that a file takes, or the files below a directory; files that vanish meanwhile do not count."""
    total = directory.lstat().st_size if directory.is_file() else 0
    for parent, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(Path(parent, name)).st_size
            except FileNotFoundError:
                continue
    return total


def mebibytes(size: int) -> str:
    """Return a number of bytes in MiB."""
    return f"{size / 2**20:.1f} MiB"

from pathlib import Path

from pipelines.local.clients import registered_client
from pipelines.local.home import Home
from pipelines.local.usage import home_usage


def test_a_home_without_servers_has_clients_and_takes_space(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.prepare()
    (home.store / "below").mkdir()
    (home.store / "below" / "object").write_bytes(b"1" * 2**20)
    with (
        registered_client(home) as using,
        registered_client(home, queued=True) as running,
        registered_client(home, queued=True),
    ):
        running.announce("run-1")
        found = home_usage(home)
        running.announce(None)
    assert found.keeper is None
    assert found.disk == {"store": 2**20, "mlflow": 0, "kfp": 0, "checkpoints": 0, "optuna": 0, "logs": 0}
    first, second, third = (line for line in found.lines() if line.startswith("user"))
    assert first.endswith(f"since {using.registration.since}")
    assert second.endswith(", run run-1")
    assert third.endswith(", waiting for its turn")
    assert list(found.lines())[-1].startswith("disk      1.0 MiB: store 1.0 MiB, mlflow 0.0 MiB")
    assert found.as_json()["servers"] == {}

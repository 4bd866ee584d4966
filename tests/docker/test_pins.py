"""`make pins`, with an engine that knows one digest for every image."""

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = ("docker/pins.sh", "docker/Dockerfile", "docker/mlflow-server/Dockerfile", "docker/compose.yaml")


def pin(tmp_path: Path, digest: str) -> subprocess.CompletedProcess[str]:
    engine = tmp_path / "engine"
    engine.write_text(f'#!/bin/sh\n[ "$1" = pull ] || echo "any.example/name@{digest}"\n')
    engine.chmod(0o755)
    command = [str(tmp_path / "docker" / "pins.sh")]
    environment = os.environ | {"DOCKER": str(engine)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_every_image_gets_its_digest_and_later_another(tmp_path: Path) -> None:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    texts = {name: (ROOT / name).read_text() for name in FILES[1:]}
    for digest in ("sha256:" + "a" * 64, "sha256:" + "b" * 64):
        done = pin(tmp_path, digest)
        assert done.returncode == 0, done.stderr
        images = [line.partition("@")[0] for line in done.stdout.splitlines()]
        assert [image.partition(":")[0] for image in images] == ["chrislusf/seaweedfs", "postgres", "python"]
        for name, text in texts.items():
            expected = [f"{image}@{digest}" for image in images if image in text]
            pinned = (tmp_path / name).read_text()
            assert all(reference in pinned for reference in expected), name
            assert pinned.count(digest) == len(expected), name
    assert pin(tmp_path, "none").returncode == 1

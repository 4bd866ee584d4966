import stat
from pathlib import Path

import pytest

from components.common.errors import PipelineError
from pipelines.local.home import Home
from pipelines.local.home_settings import HomeSettings


def test_settings_are_private_and_stay(tmp_path: Path) -> None:
    home = Home(tmp_path)
    settings = HomeSettings.of(home)
    assert HomeSettings.of(home) == settings
    assert len(settings.secret_access_key) == 40
    assert stat.S_IMODE((tmp_path / "platform.json").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "\0" * 64,
        '{"store_port": 9000}',
        '{"secret_access_key": "", "store_port": 9000, "mlflow_port": 9001}',
        '{"secret_access_key": "key", "store_port": 9000, "mlflow_port": 99999999}',
    ],
)
def test_damaged_settings_are_refused_and_made_anew_once_deleted(tmp_path: Path, text: str) -> None:
    (tmp_path / "platform.json").write_text(text)
    with pytest.raises(PipelineError, match=r"platform.json must hold .* delete it"):
        HomeSettings.of(Home(tmp_path))
    (tmp_path / "platform.json").unlink()
    assert HomeSettings.of(Home(tmp_path)).secret_access_key


def test_a_directory_in_place_of_the_settings_is_refused(tmp_path: Path) -> None:
    (tmp_path / "platform.json").mkdir()
    with pytest.raises(PipelineError, match=r"platform.json must hold .* delete it"):
        HomeSettings.of(Home(tmp_path))

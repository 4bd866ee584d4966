import stat
from pathlib import Path

import pytest

from components.common.model.signing import SigningKey
from pipelines.local.home import Home
from pipelines.local.home_keys import signing_variables, trust_variables


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MODEL_SIGNING_KEY", "MODEL_PUBLIC_KEYS"):
        monkeypatch.delenv(name, raising=False)


def test_the_key_of_a_home_is_made_on_first_use_private_and_stays(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    assert trust_variables(home) == {}
    variables = signing_variables(home)
    private, public = (Path(variables[name]) for name in ("MODEL_SIGNING_KEY", "MODEL_PUBLIC_KEYS"))
    content = private.read_bytes()
    assert SigningKey(content, "").public == public.read_bytes()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (private, private.parent)] == [0o600, 0o700]
    assert signing_variables(home) == variables
    assert private.read_bytes() == content
    assert trust_variables(home) == {"MODEL_PUBLIC_KEYS": str(public)}


@pytest.mark.parametrize("empty", [False, True])
def test_a_lost_or_empty_public_half_is_written_again(tmp_path: Path, empty: bool) -> None:
    public = Path(signing_variables(Home(tmp_path))["MODEL_PUBLIC_KEYS"])
    content = public.read_bytes()
    public.unlink()
    if empty:
        public.touch()
    signing_variables(Home(tmp_path))
    assert public.read_bytes() == content


def test_keys_that_the_settings_name_are_used_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signing_variables(Home(tmp_path))
    monkeypatch.setenv("MODEL_PUBLIC_KEYS", "/keys/team.pem")
    assert signing_variables(Home(tmp_path)) == {}
    assert trust_variables(Home(tmp_path)) == {}

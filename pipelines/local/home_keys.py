"""The key of a home, by which its versions are signed where the settings name no other."""

from components.common.errors import PipelineError
from components.common.model.signing import make_signing_key
from components.common.settings import settings
from pipelines.local.home import Home

PRIVATE, PUBLIC = "private.pem", "public.pem"


def signing_variables(home: Home) -> dict[str, str]:
    """Return the variables that name the home's keys, made on first use; none where the settings name keys.

    Raises:
        PipelineError: The home cannot be written, or others can write to it.
    """
    if settings().model_signing_key or settings().model_public_keys:
        return {}
    home.make(home.keys)
    try:
        # Versions of before could leave it empty where the machine lost power.
        if not (home.keys / PUBLIC).exists() or not (home.keys / PUBLIC).stat().st_size:
            make_signing_key(home.keys / PRIVATE, home.keys / PUBLIC)
    except OSError as error:
        raise PipelineError(
            f"the home must hold a key that signs versions but {error.filename} cannot be written ({error.strerror}): "
            "choose another with --home, or set MODEL_SIGNING_KEY and MODEL_PUBLIC_KEYS."
        ) from None
    return {"MODEL_SIGNING_KEY": str(home.keys / PRIVATE), **trust_variables(home)}


def trust_variables(home: Home) -> dict[str, str]:
    """Return the variable that names the home's public key, where there is one and the settings name no keys."""
    public = home.keys / PUBLIC
    if settings().model_signing_key or settings().model_public_keys or not public.exists():
        return {}
    return {"MODEL_PUBLIC_KEYS": str(public)}

from importlib.util import find_spec, module_from_spec

import kubernetes_validate

from pipelines.compat.kubernetes_client import imported_without_validator


def has_validator() -> bool:
    """Import the client's module anew, beside the one that is imported, and say whether it found the validator."""
    found = find_spec("kubernetes.dynamic.client")
    assert found
    assert found.loader
    module = module_from_spec(found)
    found.loader.exec_module(module)
    return bool(module.HAS_KUBERNETES_VALIDATE)


def test_the_client_takes_a_validator_along_unless_it_is_kept_from_it() -> None:
    assert has_validator()
    with imported_without_validator():
        assert not has_validator()
    assert has_validator()


def test_the_validator_stays_for_others() -> None:
    with imported_without_validator():
        pass
    import kubernetes_validate as again

    assert again is kubernetes_validate

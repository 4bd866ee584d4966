import gc

import pytest

from components.common.garbage import imports_stay


def test_what_is_made_meanwhile_is_in_no_later_search() -> None:
    before = gc.get_freeze_count()
    with imports_stay():
        assert not gc.isenabled()
        made = [[]]  # type: list[list[int]]
    assert gc.isenabled()
    assert gc.get_freeze_count() > before
    assert all(made is not tracked for tracked in gc.get_objects())


def test_the_search_goes_on_after_an_import_that_fails_and_stays_off_where_it_was() -> None:
    with pytest.raises(ImportError), imports_stay():
        raise ImportError
    assert gc.isenabled()
    gc.disable()
    try:
        with imports_stay():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()

import json

from benchmarks.stores.page import DOCS, RECORD, stores_page


def test_the_page_is_that_of_what_was_found() -> None:
    assert (DOCS / "stores.md").read_text() == stores_page(json.loads(RECORD.read_text()))

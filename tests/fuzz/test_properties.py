"""Properties of texts from outside: names, addresses, sizes."""

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st

from components.common.errors import PipelineError
from components.common.plan.names import LONGEST_DATASET, dataset_slug
from components.common.plan.resolve import resolve
from components.common.storage.address import absolute_uri, grants_access, shown
from pipelines.parameters import request

SECRET = "s3cr3t-s3cr3t"
quick = settings(max_examples=100, deadline=None, derandomize=True, database=None)
hosts = st.sampled_from(["host", "host.example:8443", "127.0.0.1", "[::1]:80"])
words = st.text(st.characters(exclude_characters="/?#@:"), max_size=12)
paths = st.lists(words, max_size=4).map(
    lambda parts: "".join(f"/{quote(part, errors='replace')}" for part in parts)
)


def refused(call: Callable[[], object]) -> str:
    """Return why a call is refused, "" where it is not."""
    try:
        call()
    except PipelineError as error:
        return str(error)
    return ""


@quick
@given(st.sampled_from(["http", "https", "postgresql"]), words, hosts, paths, st.booleans())
def test_no_password_and_no_signature_is_shown(
    scheme: str, user: str, host: str, path: str, signed: bool
) -> None:
    query = f"?X-Amz-Signature={SECRET}" if signed else ""
    address = f"{scheme}://{user}:{SECRET}@{host}{path}{query}"
    assert shown(address) == f"{scheme}://{host}{path}"
    assert grants_access(address) == scheme.startswith("http")
    refusal = refused(lambda: request([f"data={address}"]).resolved())
    assert refusal
    assert SECRET not in refusal


@quick
@given(hosts, paths)
def test_an_address_without_secrets_stays_as_it_is(host: str, path: str) -> None:
    address = f"https://{host}{path}"
    assert shown(address) == address == absolute_uri(address)
    assert not grants_access(address)


@quick
@given(st.text(max_size=60))
def test_any_address_makes_a_short_and_clean_name(address: str) -> None:
    name = dataset_slug(address)
    assert not name or re.fullmatch(rf"[a-z0-9][a-z0-9-]{{0,{LONGEST_DATASET - 1}}}", name)


@quick
@given(st.text(max_size=110))
def test_names_are_taken_by_one_rule(name: str) -> None:
    fits = re.fullmatch("[A-Za-z0-9][A-Za-z0-9_-]{0,99}", name) is not None
    refusal = refused(lambda: resolve([("test", {"registry.model": name})]))
    assert bool(refusal) != fits
    assert "\n" not in refusal


numbers = st.one_of(st.integers(), st.floats(), st.integers(-(10**40), 10**40))
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, st.text(max_size=20)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@quick
@given(
    st.sampled_from(
        ["trials", "seeds", "tuning_workers", "epochs", "batch_size", "filters", "search_space", "size"]
    ),
    values,
)
def test_any_value_of_an_option_is_taken_or_refused_in_one_line(name: str, value: Any) -> None:
    refusal = refused(lambda: request([f"{name}={json.dumps(value)}"]).resolved())
    assert "\n" not in refusal
    assert len(refusal) < 2000

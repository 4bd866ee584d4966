import pytest

from components.common.errors import PipelineError
from components.common.model.version_tags import version_tags

TAGS = {
    "dataset": "stripes",
    "raw_files": '{"train-images-idx3-ubyte": "%s"}' % ("1" * 64),
    "split_seed": "23",
    "stratify": "False",
    "fraction": "0.5",
    "config": '{"epochs": 2}',
    "reject_below": "0.9",
    "mlflow.user": "somebody",
}


def test_tags_are_read_by_their_types() -> None:
    tags = version_tags(TAGS, "m", "1")
    assert (tags.split_seed, tags.stratify, tags.fraction, tags.reject_below) == (23, False, 0.5, 0.9)
    assert (tags.config, tags.model_files, tags.signing_key) == ({"epochs": 2}, None, None)
    source = tags.source()
    assert source is not None
    assert (source.name, source.files) == ("stripes", {"train-images-idx3-ubyte": "1" * 64})
    assert version_tags({}, "m", "1").source() is None


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        ("raw_files", '{"../../outside": "%s"}' % ("1" * 64)),
        ("raw_files", '{"/etc/outside": "%s"}' % ("1" * 64)),
        ("raw_files", '{"train-images-idx3-ubyte": "../outside"}'),
        ("raw_files", '{"train-images-idx3-ubyte\\n": "%s"}' % ("1" * 64)),
        ("raw_files", "[" * 10_000),
        ("model_files", '{"MLmodel": 1}'),
        ("model_files", ""),
        ("config", "[1]"),
        ("reject_below", "nan"),
        ("reject_below", "much"),
        ("split_seed", "-1"),
        ("stratify", "perhaps"),
        ("fraction", "inf"),
    ],
)
def test_a_tag_that_breaks_its_rule_is_one_line_that_names_it(tag: str, value: str) -> None:
    with pytest.raises(PipelineError, match=f"^the tag '{tag}' of m version 1 must be as it was") as refused:
        version_tags({**TAGS, tag: value}, "m", "1")
    assert "\n" not in str(refused.value)

"""`python -m components.common.plan`: the table of options, docs/options.md."""

import json
from collections.abc import Iterator

from components.common.plan.resolve import SHORT_FORMS, option_rows
from components.common.plan.training import RECIPES

HEAD = """# Options of a run

Written by `python -m components.common.plan`; do not edit.

Every option has a dotted name. It is set on the command line (`--set training.dropout=0.1`), in a file
(`--plan my-run.yaml`, which holds only the differences), or in the Kubeflow UI: `data`, `recipe` and `trials` have
fields there, and the field `options` takes all others, `{"training.dropout": 0.1}`. The last part of a name is a short
form where no other option ends in it: `--set dropout=0.1`. Further short forms: SHORT_FORMS.

`mnist-pipeline plan`, with the same options as `run`, shows the plan and where each value comes from. In a run the
first task writes the plan as `run.json`; `mnist-pipeline plan --schema` prints its JSON schema.

`gpu_count`, `gpu_resource`, `node_selector` and `tolerations` are parameters of the pipeline beside the plan: they
place its tasks, and `--set` takes them too.
"""


def page() -> Iterator[str]:
    """Yield the page's lines."""
    short = ", ".join(f"`{short}` for `{name}`" for short, name in SHORT_FORMS.items())
    yield HEAD.replace("SHORT_FORMS", short)
    options = [row for row in option_rows() if not row[0].startswith("training.")]
    yield from ("| option | rule | default | meaning |", "|---|---|---|---|")
    for name, rule, default, meaning in options:
        shown = (
            "see [tuning.md](tuning.md)"
            if name == "search.space"
            else f"`{default}`"
            if default
            else "not set"
        )
        yield f"| `{name}` | {rule} | {shown} | {meaning} |"
    yield ""
    yield "## Training"
    yield ""
    yield f"The defaults are those of the recipe: {', '.join(RECIPES)}."
    yield ""
    yield f"| option | rule | {' | '.join(RECIPES)} | meaning |"
    yield "|---|---|" + "---|" * len(RECIPES) + "---|"
    configs = {recipe: config.model_dump(mode="json") for recipe, config in RECIPES.items()}
    for name, rule, _, meaning in option_rows():
        section, _, option = name.rpartition(".")
        if section == "training":
            values = " | ".join(f"`{json.dumps(configs[recipe][option])}`" for recipe in RECIPES)
            yield f"| `{name}` | {rule} | {values} | {meaning} |"


if __name__ == "__main__":
    print("\n".join(page()))

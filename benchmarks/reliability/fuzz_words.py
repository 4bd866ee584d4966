"""Targets of fuzzing: what a command line or a form says, and what a run prints."""

import json
import re
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.reliability.fuzz_documents import good_plan
from benchmarks.reliability.fuzz_target import CANARY, Target, promise
from benchmarks.reliability.mutations import VALUES, altered, encoded, rewritten, text
from components.common.errors import StatedError

PLAN = "components.common.plan."


def _settings(random: Random) -> list[str]:
    from components.common.plan.resolve import OPTIONS, SHORT_FORMS, values_of
    from components.common.plan.run import RunPlan

    good = values_of(RunPlan(run_id="", run_name=""))
    found = []
    for _ in range(random.randint(1, 3)):
        name = random.choice((*OPTIONS, *SHORT_FORMS, "gpu_count", "tolerations", "node_selector"))
        name = rewritten(random, name) if random.random() < 0.1 else name
        value = altered(random, good.get(name, random.choice(VALUES)))
        try:
            written = value if isinstance(value, str) else json.dumps(value)
        except RecursionError:
            written = "[" * 5000
        written = rewritten(random, written) if random.random() < 0.3 else written
        found.append(f"{name}={written}" if random.random() < 0.95 else text(random))
    return found


def _resolve(settings: list[str], _: Path) -> None:
    from pipelines.parameters import request

    asked = request(settings)
    plan = asked.resolved().plan
    promise(plan.search.trials <= 10_000 and plan.seeds <= 1000, "bounded numbers")
    _promise_run_name(asked.run_name())


def _promise_run_name(name: str) -> None:
    promise(
        re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]{0,99}", name) is not None,
        f"a short and clean run name: {name!r}",
    )


def _plan_file(content: bytes, directory: Path) -> None:
    from pipelines.parameters import request

    path = directory / "plan.yaml"
    path.write_bytes(content)
    request(plan_file=path).resolved()


def _plan_document(random: Random) -> bytes:
    document = good_plan()
    for _ in range(random.randint(1, 3)):
        document = altered(random, document)
    return encoded(random, document)


def _space(random: Random) -> Any:
    from components.common.plan.space import SEARCH_SPACE

    found: Any = SEARCH_SPACE
    for _ in range(random.randint(1, 3)):
        found = altered(random, found)
    return found if isinstance(found, dict) else {"dropout": found}


def _ranges(space: dict[str, Any], _: Path) -> None:
    from components.common.plan.space import ranges
    from components.common.plan.training import TrainConfig

    ranges(space, TrainConfig())


def _cron(random: Random) -> str:
    fields = [
        random.choice(("*", "?", "5", "1-5", "*/10", "MON-FRI", "1,3", "0", "59", "61", "JAN"))
        for _ in range(random.randint(4, 7))
    ]
    expression = " ".join(fields)
    return rewritten(random, expression) if random.random() < 0.6 else expression


def _six_fields(expression: str, _: Path) -> None:
    from pipelines.cluster.cron import six_fields

    promise(len(six_fields(expression).split()) == 6, "six fields")


def _address(random: Random) -> str:
    """Return an address with a secret where one may stand: as user, password, in the query or the fragment."""
    scheme = random.choice(("http", "https", "https", "postgresql", "ftp", "HTTPS", "s3"))
    user = random.choice(
        (
            "",
            f"{CANARY}@",
            f"bob:{CANARY}@",
            f":{CANARY}@",
            f"{text(random, 4)}:{CANARY}@".replace("/", ""),
            f"a@b:{CANARY}@",
        )
    )
    host = random.choice(("host", "host:80", "[::1]", "[::1]:80", "127.0.0.1", "hôst.example", ""))
    path = random.choice(
        ("", "/", "/a.npz", "/a/2024/", f"/{rewritten(random, 'letters')}".replace(CANARY, ""))
    )
    query = random.choice(("", f"?sig={CANARY}", f"?{CANARY}", f"?a=b&X-Amz-Signature={CANARY}#x"))
    fragment = random.choice(("", f"#{CANARY}"))
    if scheme == "s3":
        # Such a key may hold a question mark.
        query = fragment = ""
    return f"{scheme}://{user}{host}{path}{query}{fragment}"


def _address_is_safe(address: str, _: Path) -> None:
    from components.common.plan.names import dataset_slug
    from components.common.storage.address import absolute_uri, shown
    from pipelines.parameters import request

    seen = [shown(address)]
    promise(shown(seen[0]) == seen[0], "what is shown stays as it is")
    for say in (absolute_uri, lambda given: request([f"data={given}"]).resolved().plan.data.source):
        try:
            kept = say(address)
        except StatedError as error:
            seen.append(str(error))
        else:
            # A fragment is not sent, and grants nothing.
            seen += [kept.partition("#")[0]] if say is not absolute_uri else []
    if dataset_slug(shown(address)):
        seen.append(dataset_slug(shown(address)))
    promise(not any(CANARY in told for told in seen), f"no secret in {seen}")


def _path(random: Random) -> str:
    return (
        text(random, 60)
        if random.random() < 0.5
        else rewritten(random, random.choice(("~/a/b", "/a/b", "a/../b", "env:DATA_URI")))
    )


def _path_is_refused_or_found(path: str, _: Path) -> None:
    from components.common.storage.address import absolute_uri
    from pipelines.parameters import request

    _promise_run_name(request([f"data={path}"]).run_name())
    absolute_uri(path)


def _lines(random: Random) -> list[str]:
    good = (
        "Executing task 'ingest'", "Task 'ingest' finished with status SUCCESS", "[ingest] error: x", "[train] 1",
        "Task 'train' finished with status FAILURE", "\x1b[36mExecuting task 'train'\x1b[0m", "----", "",
        "Traceback (most recent call last):", "  raise ValueError", "ValueError: x",
    )  # fmt: skip
    lines = [random.choice(good) for _ in range(random.randint(1, 8))]
    return [rewritten(random, line) if random.random() < 0.4 else line for line in lines]


def _follow(lines: list[str], _: Path) -> None:
    from pipelines.local.progress import Progress

    progress = Progress()
    for _line in progress.lines(iter(lines)):
        pass
    progress.finish(1)
    promise(not any(step.status == "RUNNING" for step in progress.steps), "no step goes on after the end")


WORD_TARGETS = (
    Target(
        "options",
        ("pipelines.parameters", f"{PLAN}resolve", f"{PLAN}section", f"{PLAN}names"),
        60_000,
        _settings,
        _resolve,
    ),
    Target("plan files", ("pipelines.parameters",), 10_000, _plan_document, _plan_file, files=True),
    Target("search spaces", (f"{PLAN}space",), 150_000, _space, _ranges),
    Target("cron expressions", ("pipelines.cluster.cron",), 250_000, _cron, _six_fields),
    Target("addresses", ("components.common.storage.address",), 60_000, _address, _address_is_safe),
    Target("paths and run names", (f"{PLAN}names",), 40_000, _path, _path_is_refused_or_found),
    Target("lines of progress", ("pipelines.local.progress",), 150_000, _lines, _follow),
)

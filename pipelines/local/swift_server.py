"""OpenStack Swift with its S3 interface in one process and one directory, on the loopback interface.

Run as a script, `python -P swift_server.py DESCRIPTOR`, in the directory for the data, with `AWS_ACCESS_KEY_ID`
(`account:user`), `AWS_SECRET_ACCESS_KEY` and `S3_BUCKET` in the environment. It answers at the listening socket as soon
as it has the bucket. Only the owner of the process is answered, with a key. The servers behind it ask for none, and
listen at sockets in the directory, which must be closed to others.
"""

import logging
import os
import sys
from pathlib import Path

from components.common.bounds import STORE_RESERVE

# Timeouts are long because a training leaves this process little processor time. After a timeout an object would be
# missing from listings, because Swift's background daemons, which repair that, do not run here.
# A write that finds the disk full must not close the only backend to reads for a while.
CONFIGURATION = """
[swift-hash]
swift_hash_path_suffix = mnist-pipeline

[DEFAULT]
swift_dir = .
devices = .
mount_check = false
fallocate_reserve = {reserve}
log_level = WARNING
log_custom_handlers = __main__.log_to_stderr
log_requests = false
conn_timeout = 60
node_timeout = 120
container_update_timeout = 120

[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck listing_formats s3api tempauth copy slo dlo versioned_writes proxy-server

[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
error_suppression_limit = 1000000000
error_suppression_interval = 0

[filter:slo]
use = egg:swift#slo
allow_async_delete = false
"""
FILTERS = (
    "catch_errors",
    "gatekeeper",
    "healthcheck",
    "listing_formats",
    "s3api",
    "tempauth",
    "copy",
    "dlo",
    "versioned_writes",
)
BACKENDS = ("account", "container", "object")
# Paste takes an absolute path and gives meaning to %, # and : in it, which the real path may contain.
CONFIGURATION_PATH = "/proc/self/cwd/swift.conf"


def log_to_stderr(*arguments: object) -> None:
    """Replace the syslog handler that Swift gives a logger; called by the option `log_custom_handlers`."""
    logger = arguments[5]
    if isinstance(logger, logging.Logger):
        logger.handlers[:] = [logging.StreamHandler(sys.stderr)]


def write_configuration() -> None:
    sections = [f"\n[filter:{name}]\nuse = egg:swift#{name}\n" for name in FILTERS]
    sections += [f"\n[app:{name}]\nuse = egg:swift#{name}\n" for name in BACKENDS]
    text = CONFIGURATION.format(reserve=STORE_RESERVE) + "".join(sections)
    Path("swift.conf").write_text(text, encoding="ascii")


def main(descriptor: str) -> None:
    """Serve until SIGTERM."""
    os.umask(0o077)
    write_configuration()
    from swift.common import utils

    utils.set_swift_dir(".")  # before the imports below, which read swift.conf
    utils.monkey_patch()
    utils.FALLOCATE_RESERVE = STORE_RESERVE
    from swift.common.concurrency import eventlet
    from swift.common.http_protocol import SwiftHttpProtocol
    from swift.common.ring import RingData
    from swift.common.wsgi import loadapp, make_pre_authed_request

    from components.common.settings import settings
    from pipelines.compat.swift_sockets import dial_sockets, listen_at
    from pipelines.local.guard import comes_from_owner

    class OwnersProtocol(SwiftHttpProtocol):  # type: ignore[misc]
        def handle(self) -> None:
            if comes_from_owner(self.request):
                super().handle()

    def serve(listener: object, application: object, protocol: type = SwiftHttpProtocol) -> None:
        eventlet.wsgi.server(
            listener,
            application,
            utils.NullLogger(),
            protocol=protocol,
            capitalize_response_headers=False,  # S3 clients need the header ETag, not Etag
        )

    dial_sockets()
    Path("disk").mkdir(exist_ok=True)
    for port, name in enumerate(BACKENDS, 1):
        device = {"id": 0, "region": 1, "zone": 1, "ip": "127.0.0.1", "port": port, "device": "disk"}
        RingData([[0]], [device], part_shift=32).save(f"{name}.ring.gz")  # one replica of one partition
        eventlet.spawn(serve, listen_at(port), loadapp(f"{CONFIGURATION_PATH}#{name}"))

    given = settings()
    account_user = str(given.aws_access_key_id).replace(":", "_")
    user = {f"user_{account_user}": f"{given.aws_secret_access_key} .admin"}
    proxy = loadapp(CONFIGURATION_PATH, global_conf=user)
    bucket = f"/v1/AUTH_{account_user.partition('_')[0]}/{given.s3_bucket}"
    # Not made again where it is: on a full disk that would be refused, and reads would be too.
    if make_pre_authed_request({}, "HEAD", bucket).get_response(proxy).status_int == 404:
        made = make_pre_authed_request({}, "PUT", bucket).get_response(proxy)
        if made.status_int // 100 != 2:
            sys.exit(f"error: the bucket {given.s3_bucket} cannot be made: {made.status}")
    serve(eventlet.green.socket.socket(fileno=int(descriptor)), proxy, OwnersProtocol)


if __name__ == "__main__":
    main(sys.argv[1])

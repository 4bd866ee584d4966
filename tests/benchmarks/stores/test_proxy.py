from urllib.request import ProxyHandler, build_opener

from benchmarks.stores.proxy import host_proxy
from tests.gateways import Request, gateway


def test_every_host_is_the_one_server() -> None:
    def rule(request: Request) -> tuple[int, bytes]:
        return 200, f"{request.method} {request.headers['host']} {request.path}".encode()

    with gateway(rule) as server, host_proxy(server.server_port) as proxy:
        opener = build_opener(ProxyHandler({"http": proxy.address}))
        with opener.open("http://bucket.s3.test:9/key?list-type=2") as answer:
            assert answer.read() == b"GET bucket.s3.test:9 /key?list-type=2"
        with opener.open("http://bucket.s3.test:9/", data=b"body"):
            assert server.asked[-1].body == b"body"
        assert proxy.hosts == {"bucket.s3.test"}

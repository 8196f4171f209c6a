"""The proxy of docs/security.md, by a real nginx in front of a real server."""

from __future__ import annotations

import base64
import os
import shutil
import ssl
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import trustme

from stock_pipeline.settings import project_root
from stock_pipeline.stack.ports import free_port, is_free
from stock_pipeline.stack.processes import Child, ProcessSpec

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
PASSWORD = "let-me-see"

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed (Debian: nginx-light)"),
]


@pytest.fixture
def upstream():
    """What Dagster's UI stands for here: answers with the headers that it was sent."""

    class Echo(BaseHTTPRequestHandler):
        def do_GET(self):
            body = str(self.headers).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture
def proxy(upstream, tmp_path):
    """nginx with infra/nginx/dagster.conf on a port of its own; how to ask it."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "both.pem"))
    # {PLAIN} is for tests; people use bcrypt.
    (tmp_path / "users").write_text(f"me:{{PLAIN}}{PASSWORD}\n")
    port = free_port()
    server = (project_root() / "infra" / "nginx" / "dagster.conf").read_text()
    for there, here in {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "/etc/nginx/dagster.pem": str(tmp_path / "both.pem"),
        "/etc/nginx/dagster.key": str(tmp_path / "both.pem"),
        "/etc/nginx/dagster.users": str(tmp_path / "users"),
        "127.0.0.1:3000": f"127.0.0.1:{upstream}",
    }.items():
        assert there in server
        server = server.replace(there, here)
    paths = "".join(
        f"{kind}_temp_path {tmp_path}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = tmp_path / "nginx.conf"
    # As root its workers would be another user, who cannot read the test's folder.
    user = "user root;\n" if os.geteuid() == 0 else ""
    config.write_text(
        f"{user}daemon off; pid {tmp_path}/pid; error_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{paths}{server}\n}}\n"
    )
    command = [str(NGINX), "-p", str(tmp_path), "-c", str(config), "-e", "stderr"]
    child = Child(
        ProcessSpec(name="nginx", command=command, environment={}, ready=lambda: not is_free(port)),
        tmp_path / "nginx.log",
    )
    child.start()
    child.wait_until_ready()
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    def ask(user="", password=""):
        headers = {}
        if user:
            token = base64.b64encode(f"{user}:{password}".encode()).decode()
            headers["Authorization"] = f"Basic {token}"
        request = urllib.request.Request(f"https://localhost:{port}/runs", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60, context=trusting) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""

    yield ask
    child.stop()


def test_the_proxy_lets_in_who_knows_the_password_and_keeps_it_from_dagster(proxy):
    assert proxy()[0] == 401
    assert proxy("me", "wrong")[0] == 401
    status, headers = proxy("me", PASSWORD)
    assert status == 200
    assert "X-Forwarded-Proto: https" in headers
    assert "Authorization" not in headers

"""A real nginx in front of services, with its defaults and upstream keep-alive."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from loadtests.harness import service
from loadtests.harness.service import wait_for

_CONFIGURATION = """
daemon off;
{user}
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/client_body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream services {{
        {servers}
        keepalive 32;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://services;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"""


def find_nginx() -> str:
    """Find nginx, or skip the test."""
    # Debian installs it where only root looks.
    found = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip("nginx is not installed: apt-get install nginx-light")
    return found


@contextmanager
def in_front_of(ports: Sequence[int], folder: Path, parameters: str = "") -> Iterator[int]:
    """The port of an nginx that distributes requests over the services on these ports.

    Args:
        parameters: of each ``server`` of its upstream.
    """
    program, port = find_nginx(), service.free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            user="user root;" if os.geteuid() == 0 else "",
            folder=folder,
            servers="\n".join(f"server 127.0.0.1:{each} {parameters};" for each in ports),
            port=port,
        )
    )
    process = subprocess.Popen(
        [program, "-p", str(folder), "-c", str(configuration), "-e", str(folder / "error.log")]
    )

    def listens() -> bool:
        assert process.poll() is None, (folder / "error.log").read_text()
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_for(listens, "nginx to listen")
        yield port
    finally:
        process.terminate()
        process.wait(service.TIMEOUT_SECONDS)

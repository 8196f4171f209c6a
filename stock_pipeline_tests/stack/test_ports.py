from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from stock_pipeline.stack.ports import LOOPBACK, free_port, is_free, owner_of


@pytest.fixture
def listener():
    with socket.create_server((LOOPBACK, 0)) as server:
        yield server


def test_a_free_port_is_free():
    assert is_free(free_port())


def test_a_free_port_is_given_to_one_process_only():
    ask = f"from stock_pipeline.stack import ports; print(ports._reserve({free_port()}))"
    told = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True)

    assert told.stdout == "False\n"


def test_a_port_with_a_listener_is_not_free_and_its_owner_is_named(listener):
    port = listener.getsockname()[1]

    assert not is_free(port)
    assert f"(pid {os.getpid()})" in owner_of(port)


def test_a_port_without_a_listener_has_no_owner():
    assert owner_of(free_port()) is None

"""One thing that doctor found, and the words for what refused it."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Literal

from stock_pipeline.settings import Settings

State = Literal["ok", "warning", "failed", "skipped"]

CONNECT_SECONDS = 3.0


@dataclass(frozen=True)
class DoctorFinding:
    """One dependency.

    Attributes:
        name: What was checked.
        state: `skipped` where it cannot be checked because something before it failed.
        answer: One sentence: what was found.
        remedy: What to do; empty where nothing is to be done.
    """

    name: str
    state: State
    answer: str
    remedy: str = ""


def start_it(settings: Settings, otherwise: str) -> str:
    """What to do where something that `make dev` starts or makes is missing."""
    return (
        "`make dev` starts it and makes what is missing."
        if settings.profile == "local"
        else otherwise
    )


def refusal(host: str, port: int) -> str:
    """Why a TCP connection cannot be made; empty when it can."""
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except socket.gaierror:
        return "the name is unknown"
    except TimeoutError:
        return f"no answer in {CONNECT_SECONDS:g} s"
    except OSError as error:
        return (error.strerror or type(error).__name__).lower()
    return ""

"""Brings Dagster's code server back when it has been killed.

`dagster dev` restarts the proxy in front of the code server but not the code server itself: after
a kill -9 (or the kernel's out-of-memory killer) every sensor fails until someone presses "Reload"
in the UI. This presses it. A location that does not load because of its code is left alone: its
error is in the UI, and it is reloaded there once it is mended.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

LOCATIONS = """{ workspaceOrError { ... on Workspace { locationEntries {
  name locationOrLoadError { ... on PythonError { className } } } } } }"""
RELOAD = """mutation ($name: String!) {
  reloadRepositoryLocation(repositoryLocationName: $name) { __typename } }"""


def reload_unreachable_locations(url: str) -> list[str]:
    """Reload every code location whose server does not answer; returns their names.

    Args:
        url: Dagster's web server. Where it does not answer itself, nothing is done: `dagster dev`
            ends then and is started again as a whole.
    """
    try:
        workspace = _ask(url, LOCATIONS)["workspaceOrError"]
        names = [
            entry["name"]
            for entry in workspace.get("locationEntries", [])
            if (entry["locationOrLoadError"] or {}).get("className")
            == "DagsterUserCodeUnreachableError"
        ]
        for name in names:
            _ask(url, RELOAD, name=name)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return []
    return names


def _ask(url: str, query: str, **variables: str) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310
        f"{url}/graphql",
        data=json.dumps({"query": query, "variables": variables}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        data: dict[str, Any] = json.load(answer)["data"]
    return data

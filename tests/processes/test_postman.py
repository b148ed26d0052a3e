from __future__ import annotations

import subprocess

import pytest

from loadtests.harness.service import ROOT, TIMEOUT_SECONDS, Service

NEWMAN = ROOT / "node_modules" / ".bin" / "newman"
COLLECTION = ROOT / "postman" / "ticket-allocation.postman_collection.json"


@pytest.mark.skipif(not NEWMAN.exists(), reason="newman is not installed: make postman")
def test_the_postman_collection_passes(running_service: Service) -> None:
    command = [str(NEWMAN), "run", str(COLLECTION), "--color=off"]
    command += ["--env-var", f"baseUrl={running_service.url}"]

    ended = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)

    assert ended.returncode == 0, ended.stdout

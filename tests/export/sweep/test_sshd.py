"""The same against a server of OpenSSH on this machine, where one is installed."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgecnn_export.sweep.measure import Settings
from edgecnn_export.sweep.ssh import Ssh, parse_device
from edgecnn_runtime.errors import BackendError

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
PYTHONPATH = os.environ.get("PYTHONPATH", "")
PROGRAM = f"PYTHONPATH={PYTHONPATH} {sys.executable} -m edgecnn_runtime"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path(SSHD).exists(), reason="no sshd: apt install openssh-server"),
]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server that takes one key; `ssh` and `scp` know it and nothing else."""
    keys = {name: tmp_path / name for name in ("host", "user")}
    for key in keys.values():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {keys['host']}\nPidFile none\n"
        f"AuthorizedKeysFile {keys['user']}.pub\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\nSubsystem sftp internal-sftp\n"
    )
    public = keys["host"].with_suffix(".pub").read_text()
    (tmp_path / "known").write_text(f"[127.0.0.1]:{port} {public}")
    (tmp_path / "ssh_config").write_text(
        f"Host *\n  IdentityFile {keys['user']}\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {tmp_path / 'known'}\n  StrictHostKeyChecking yes\n"
    )
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("ssh", "scp"):
        real = shutil.which(name)
        (programs / name).write_text(f'#!/bin/sh\nexec {real} -F {tmp_path / "ssh_config"} "$@"\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where the server of root locks itself in
    command = [SSHD, "-D", "-e", "-f", str(tmp_path / "sshd_config")]
    with (tmp_path / "log").open("w") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            _wait_for(port)
            yield f"ssh://{getpass.getuser()}@127.0.0.1:{port}"
        finally:
            process.terminate()


def _wait_for(port: int) -> None:
    for _ in range(100):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("sshd does not listen")


def test_a_bundle_is_measured_over_a_real_connection(trained_bundle: Path, server: str) -> None:
    device = Ssh(parse_device(server), Settings(frames=5, threads=1), PROGRAM)
    assert device.check().startswith("edgecnn ")
    with device.bundle(trained_bundle) as measure:
        found = measure("fp32", "a hash")
    assert found.frames == 5
    assert found.where == server
    assert 0 < found.infer_ms < found.p50


def test_a_key_that_is_not_known_there_is_said_in_one_line(server: str, tmp_path: Path) -> None:
    (tmp_path / "user.pub").write_text("")
    device = Ssh(parse_device(server), Settings(frames=5), PROGRAM)
    with pytest.raises(BackendError, match=r"cannot be reached: .*Permission denied"):
        device.check()

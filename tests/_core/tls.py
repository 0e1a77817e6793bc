"""A certificate for this machine, which nobody trusts until it is loaded."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

__all__ = ["make_certificate"]


def make_certificate(folder: Path, name: str = "IP:127.0.0.1,DNS:localhost") -> Path | None:
    """Write a new key and its certificate into one file; None where there is no openssl program."""
    program = shutil.which("openssl")
    if program is None:
        return None
    key, certificate, both = folder / "key.pem", folder / "certificate.pem", folder / "both.pem"
    arguments = f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName={name}".split()
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([program, *arguments, *files], check=True, capture_output=True)
    both.write_bytes(key.read_bytes() + certificate.read_bytes())
    return both

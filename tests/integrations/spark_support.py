"""What the tests of Spark share: a session with two tasks at a time, a sandbox, mappings and frames."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from synerise_profiles.sandbox import Sandbox

PROFILES = """
for = "profiles"
[columns]
id = "customId"
city = "city"
n = "attributes.n"
"""
EVENTS = """
for = "events"
[columns]
id = "client.customId"
n = "params.n"
at = "time"
[constants]
action = "shop.visit"
label = "Visit"
"""


def java() -> str | None:
    """Where Java is; None where there is none."""
    return os.environ.get("JAVA_HOME") or shutil.which("java")


@contextmanager
def session(
    sandbox: Sandbox, master: str = "local[2,4]", *, python: str = sys.executable, **conf: str
) -> Iterator[Any]:
    """A session of Spark whose workers run this Python, and find the sandbox and its key in the environment."""
    from pyspark.sql import SparkSession  # noqa: PLC0415 - the other tests do without

    os.environ.update(SYNERISE_API_KEY=sandbox.api_key, SYNERISE_BASE_URL=sandbox.url, PYSPARK_PYTHON=python)
    settings = {
        "spark.driver.memory": "1g",
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "4",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        **conf,
    }
    builder = SparkSession.builder.master(master)
    for name, value in settings.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("OFF")  # tasks that die are the point
    try:
        yield spark
    finally:
        spark.stop()


@contextmanager
def standalone(folder: Path) -> Iterator[str]:
    """A cluster of its own: a master, and two workers with a core each. Its address.

    Each worker has another host, since Spark runs a copy of a task on another host only: `local-cluster` has but one.
    """
    import pyspark  # noqa: PLC0415 - likewise

    program = Path(str(pyspark.__file__)).parent / "bin" / "spark-class"
    package = "org.apache.spark.deploy"
    settings = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_WORKER_DIR": str(folder / "work")}
    running: list[subprocess.Popen[bytes]] = []

    def started(name: str, pattern: str, *words: str) -> str:
        log = folder / f"{name}.txt"
        with log.open("wb") as output:
            command = [str(program), *words]
            running.append(
                subprocess.Popen(command, stdout=output, stderr=output, env=settings, start_new_session=True)
            )
        return said(log, pattern)

    try:
        words = ("--host", "127.0.0.1", "--port", "0", "--webui-port", "0")
        master = started("master", r"Starting Spark master at (spark://\S+)", f"{package}.master.Master", *words)
        for host in ("127.0.0.2", "127.0.0.3"):
            words = ("--host", host, "--cores", "1", "--memory", "512m", "--webui-port", "0")
            started(host, r"Successfully registered with master (\S+)", f"{package}.worker.Worker", *words, master)
        yield master
    finally:
        for process in running:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)


def said(log: Path, pattern: str, patience: float = 120.0) -> str:
    """What a program says in its log, once it does."""
    ends = time.monotonic() + patience
    while time.monotonic() < ends:
        found = re.search(pattern, log.read_text())
        if found is not None:
            return found[1]
        time.sleep(0.2)
    raise AssertionError(log.read_text()[-2000:])


def mapping_file(folder: Path, text: str, name: str = "mapping.toml") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)

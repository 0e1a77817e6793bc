"""What the tests of Spark share: a session with two tasks at a time, a sandbox, mappings and frames."""

from __future__ import annotations

import os
import shutil
import sys
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


def mapping_file(folder: Path, text: str, name: str = "mapping.toml") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)

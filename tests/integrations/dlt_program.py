"""Load rows by the destination of the guide, where dlt is: FOLDER, with recipe.py and people.toml in it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import dlt

FOLDER, ROWS = Path(sys.argv[1]), 30_000
os.chdir(FOLDER)
sys.path.insert(0, str(FOLDER))
from recipe import synerise  # noqa: E402 - it is in that folder

if __name__ == "__main__":
    pipeline = dlt.pipeline("people", destination=synerise, pipelines_dir=str(FOLDER / "pipelines"))
    rows = [{"id": f"c-{number}", "city": "Gdynia", "n": number} for number in range(ROWS)]
    info = pipeline.run(rows, table_name="people")
    info.raise_on_failed_jobs()
    journals = sorted(path.name for path in FOLDER.glob("*.journal"))
    counts = pipeline.last_trace.last_normalize_info.row_counts
    (FOLDER / "result.json").write_text(json.dumps({"rows": counts["people"], "journals": journals}))

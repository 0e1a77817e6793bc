"""Run the operator of the guide in a DAG, where Airflow is: FOLDER, with recipe.py and its files in it."""

from __future__ import annotations

import datetime
import json
import sys
from pathlib import Path

from airflow.sdk import DAG

FOLDER = Path(sys.argv[1])
sys.path.insert(0, str(FOLDER))
from recipe import SendEvents  # noqa: E402 - it is in that folder

DATE = datetime.datetime(2024, 6, 1, tzinfo=datetime.UTC)

with DAG("nightly", schedule=None, start_date=DATE) as dag:
    SendEvents(
        task_id="send",
        path=f"{FOLDER}/visits-{{{{ ds }}}}.csv",
        mapping=f"{FOLDER}/events.toml",
        salt=["params.n"],
        retries=2,
        retry_delay=datetime.timedelta(0),
    )

if __name__ == "__main__":
    run = dag.test(logical_date=DATE)
    (task,) = run.get_task_instances()
    (FOLDER / "result.json").write_text(
        json.dumps({"state": task.state, "tries": task.try_number, "report": task.xcom_pull(task_ids="send")})
    )

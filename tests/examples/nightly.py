"""A shop's nightly job: customers, order lines and cancellations from three exports; call it again to go on.

`nightly.py FOLDER` loads the files, `nightly.py FOLDER --replay` sends the letters that were mended.
"""

import sys
from pathlib import Path

from synerise_profiles import Synerise
from synerise_profiles.sources import RowMapping, read_csv

MAPS = Path(__file__).with_name("nightly_maps")


def main(folder: Path, *, is_replay: bool) -> None:
    with Synerise.from_env() as client:
        jobs = {
            "customers": client.bulk.upsert_profiles,
            "orders": client.bulk.create_transactions,
            "cancellations": client.bulk.send_events,
        }
        for name, send in jobs.items():
            mapping = RowMapping.load(MAPS / f"{name}.toml")
            letters = folder / f"{name}.letters.jsonl"
            if is_replay:
                report = client.bulk.replay(letters, mapping=mapping, dead_letter=letters)
            else:
                rows = read_csv(
                    folder / f"{name}.csv", mapping, encoding="cp1250", delimiter=";", sort=name == "orders"
                )
                report = send(rows, journal=folder / f"{name}.journal", dead_letter=letters)
            print(name, report.summary(), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), is_replay="--replay" in sys.argv)

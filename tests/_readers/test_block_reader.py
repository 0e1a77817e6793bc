"""What files are: regular ones are read again and again, pipes and standard input once."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import threading

import pytest

from synerise_profiles import InvalidRequestError
from synerise_profiles.sources import RowMapping, read_csv, read_json, read_jsonl

MAPPING = RowMapping.for_profiles({"id": "customId"})
CONTENT = {read_csv: "id\na\nb\n", read_jsonl: '{"id":"a"}\n{"id":"b"}\n', read_json: '[{"id":"a"},{"id":"b"}]'}


@pytest.mark.parametrize("reader", CONTENT)
def test_a_named_pipe_is_read_once(tmp_path, reader):
    """Its header is looked at when it is opened and is kept; another pass says why there is none."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=(CONTENT[reader],))
    writer.start()
    source = reader(path, MAPPING)
    assert list(source) == [{"customId": "a"}, {"customId": "b"}]
    writer.join()
    with pytest.raises(InvalidRequestError, match="was read before"):
        list(source)


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
@pytest.mark.parametrize("reader", CONTENT)
def test_standard_input(reader, name):
    """By a dash or by its path, behind a pipe."""
    code = (
        f"from synerise_profiles.sources import RowMapping, {reader.__name__} as read\n"
        f"print(len(list(read({name!r}, RowMapping.for_profiles({{'id': 'customId'}})))))"
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, input=CONTENT[reader], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "2\n"


def test_a_slow_pipe_gives_what_it_has():
    """A row is read as soon as its line is there: a block is not waited for."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as file, os.fdopen(writing, "wb", buffering=0) as out:
        out.write(b"id\n" + b"x" * 600 + b"\na\n")
        rows = iter(read_csv(file, MAPPING))
        assert len(next(rows)["customId"]) == 600
        assert next(rows) == {"customId": "a"}
        out.write(b"b\n")
        assert next(rows) == {"customId": "b"}


class Trickle(io.RawIOBase):
    """A file that gives some bytes at a time, as a slow pipe does."""

    def __init__(self, data):
        self._data = memoryview(data)

    def readable(self):
        return True

    def readinto(self, buffer):
        part, self._data = self._data[: min(100, len(buffer))], self._data[min(100, len(buffer)) :]
        buffer[: len(part)] = part
        return len(part)


@pytest.mark.parametrize(
    ("reader", "data", "problem"),
    [
        (
            read_jsonl,
            b"column;" * 200 + b"\n" + b"cell;" * 200 + b"\n",
            "is no JSON Lines: no line begins with an object",
        ),
        (read_jsonl, b"\n" * 700 + b'[{"customId":"a"}]', "is a JSON array, not JSON Lines"),
        (read_csv, b"\n" * 700 + b'[{"id":"a"}]', "is JSON, not CSV"),
    ],
)
def test_of_a_slow_pipe_the_first_line_is_waited_for(reader, data, problem):
    """What it is another form of is one error, however few bytes come at a time."""
    with pytest.raises(InvalidRequestError, match=problem):
        reader(io.BufferedReader(Trickle(data), 128), MAPPING)


def test_without_a_standard_input(monkeypatch):
    """A program may have none, or one of text alone."""
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InvalidRequestError, match="there is no standard input"):
        read_csv("-", MAPPING)
    monkeypatch.setattr(sys, "stdin", io.StringIO("id\na\n"))
    assert list(read_csv("-", MAPPING)) == [{"customId": "a"}]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda data: data[:-20], "is cut off"),
        (lambda data: data[:12], "is cut off"),
        (lambda data: data[:1], "is cut off"),
        (lambda data: data[:0], "is cut off"),
        (lambda data: data + b"rest", "is damaged"),
        (lambda data: data[: len(data) // 2] + b"\0" * 40 + data[len(data) // 2 + 40 :], "is damaged"),
    ],
    ids=["end", "start", "one byte", "no byte", "behind", "amid"],
)
@pytest.mark.parametrize("read", [read_csv, read_jsonl, read_json])
def test_a_gzip_file_that_is_cut_or_damaged_is_named(tmp_path, read, change, problem):
    """Whichever reader finds it, and wherever in the file: its name is told, and that it has to be fetched again."""
    line = {read_csv: b"id\n", read_jsonl: b'{"id":"a"}\n', read_json: b'[{"id":"a"},'}[read]
    rows = b"".join(b'{"id":"%d"},' % n if read is read_json else b'{"id":"%d"}\n' % n for n in range(5000))
    path = tmp_path / "rows.gz"
    path.write_bytes(change(gzip.compress(line + rows + b'{"id":"z"}]' * (read is read_json), mtime=0)))
    with pytest.raises(InvalidRequestError, match=f"rows.gz {problem}"):
        list(read(path, RowMapping.for_profiles({"id": "customId"})))

"""Many duplicates at once: pairs, CSV files, chains, cycles; sets of plans that are saved, loaded and applied."""

from __future__ import annotations

import gzip
import itertools
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synerise_profiles import ConfigurationError, InvalidRequestError, Synerise
from synerise_profiles.merges import (
    MergePlanSet,
    MergeProgress,
    MergeRefusedError,
    MergeSetResult,
    MergeStoppedError,
    read_audit,
)
from synerise_profiles.merges.key_type import key_type_of
from synerise_profiles.merges.pairs import PairColumns, ResolvedPairs, resolve_pairs
from synerise_profiles.merges.snapshots import snapshot_of
from synerise_profiles.sandbox import Sandbox
from tests.merges.support import merges, numbered, put, stored

resource = pytest.importorskip("resource")
COLUMNS = PairColumns(duplicate="duplicate", survivor="survivor", format={})
MERGE = "profiles.merge_by_custom_id"


def resolved(pairs: Any, on_chain: Any = "flatten", by: Any = "custom_id") -> ResolvedPairs:
    return resolve_pairs(pairs, key_type_of(by), on_chain, COLUMNS)


def shape(found: ResolvedPairs) -> list[tuple[Any, ...]]:
    return [merge.keys for merge in found.merges]


def test_pairs_are_grouped_by_survivor() -> None:
    """In the order of the first pair of each; a repeated pair counts once."""
    pairs = [("a", "x"), ("b", "y"), ("c", "x"), ("a", "x")]
    found = resolved(pairs)
    assert shape(found) == [("x", "a", "c"), ("y", "b")]
    assert (found.repeated, found.chained) == (1, 0)
    assert shape(resolved(dict(pairs))) == shape(found)


def test_a_chain_is_flattened() -> None:
    """All goes into the last survivor, each before what is merged into it, so that the same values win."""
    found = resolved({"a": "b", "b": "c", "d": "c", "e": "b"})
    assert shape(found) == [("c", "b", "a", "e", "d")]
    assert found.chained == 2


def test_a_chain_is_ordered() -> None:
    """A survivor takes in its own before it is merged on."""
    assert shape(resolved({"b": "c", "a": "b", "d": "c", "z": "a"}, "order")) == [
        ("a", "z"),
        ("b", "a"),
        ("c", "b", "d"),
    ]


def test_a_chain_is_refused() -> None:
    """By the places of both pairs."""
    with pytest.raises(InvalidRequestError, match="pair 2: the survivor is a duplicate itself in pair 1"):
        resolved([("b", "c"), ("a", "b")], "refuse")
    with pytest.raises(InvalidRequestError, match="on_chain: expected one of flatten, order, refuse"):
        resolved([("b", "c")], "ignore")


@pytest.mark.parametrize("on_chain", ["flatten", "order", "refuse"])
def test_a_cycle_is_refused(on_chain: str) -> None:
    """Whatever is chosen; it is named once, masked, with its places."""
    pairs = [("someone", "x"), ("aaaaaaa", "bbbbbbb"), ("bbbbbbb", "ccccccc"), ("ccccccc", "aaaaaaa"), ("k", "aaaaaaa")]
    with pytest.raises(InvalidRequestError) as caught:
        resolved(pairs, on_chain)
    text = "a cycle of 3: a…a into b…b into c…c into a…a (pairs 2, 3, 4); decide who survives"
    assert text in str(caught.value)
    assert str(caught.value).count("cycle") == 1


def test_contradictions_are_refused() -> None:
    """All of them at once, up to ten."""
    with pytest.raises(InvalidRequestError) as caught:
        resolved([("a", "x"), ("a", "y"), ("b", "b"), ("c,d", "x"), ("", "x"), 7, ("e", 8)])
    text = str(caught.value)
    assert "pair 2: the duplicate has another survivor in pair 1" in text
    assert "pair 3: the duplicate is its own survivor" in text
    assert "pair 4, duplicate: holds a comma" in text
    assert "pair 5, duplicate: is empty" in text
    assert "pair 6: expected a duplicate and its survivor" in text
    assert "pair 7, survivor: is of type int" in text
    with pytest.raises(InvalidRequestError, match="and 90 more"):
        resolved([("a", "a")] * 100)
    for nothing in ([], {}, iter(())):
        with pytest.raises(InvalidRequestError, match="there is no pair"):
            resolved(nothing)
    with pytest.raises(InvalidRequestError, match="expected a mapping, pairs or the path"):
        resolved(7)


def test_a_csv_file(tmp_path: Path) -> None:
    """Two columns by name, whatever else is there; a spreadsheet's byte order mark and quotes are read."""
    path = tmp_path / "pairs.csv"
    path.write_bytes('\ufefforder;"survivor";duplicate\r\n1;"x";a\r\n2;"y;z";"ż ""q"""\r\n'.encode())
    columns = PairColumns(duplicate="duplicate", survivor="survivor", format={"delimiter": ";"})
    found = resolve_pairs(path, key_type_of("custom_id"), "flatten", columns)
    assert shape(found) == [("x", "a"), ("y;z", 'ż "q"')]
    path.write_text("duplicate,survivor\n 7 ,8\n9,8\n")
    assert shape(resolved(str(path), by="id")) == [(8, 7, 9)]
    path.write_bytes(packed(path.read_bytes()))
    assert shape(resolved(path, by="id")) == [(8, 7, 9)]
    path.write_bytes("duplicate,survivor\na,Łódź\n".encode("cp1250"))
    columns = PairColumns(duplicate="duplicate", survivor="survivor", format={"encoding": "cp1250"})
    assert shape(resolve_pairs(path, key_type_of("custom_id"), "flatten", columns)) == [("Łódź", "a")]


def test_a_csv_file_is_read_as_a_source_reads_it(tmp_path: Path) -> None:
    """Lines above the header, comments, a delimiter that the file names, a header that comes again."""
    path = tmp_path / "pairs.csv"
    path.write_text("sep=;\nPairs\n# of May\nduplicate;survivor;\na;b;\n;;\nduplicate;survivor;\nc;b\n")
    columns = PairColumns(duplicate="duplicate", survivor="survivor", format={"skip_lines": 2, "comment": "#"})
    assert shape(resolve_pairs(path, key_type_of("custom_id"), "flatten", columns)) == [("b", "a", "c")]
    path.write_text('duplicate,survivor\na, "b"\n')
    with pytest.raises(InvalidRequestError, match="line 2: has a quote after a blank"):
        resolved(path)
    columns = PairColumns(duplicate="duplicate", survivor="survivor", format={"skipinitialspace": True})
    assert shape(resolve_pairs(path, key_type_of("custom_id"), "flatten", columns)) == [("b", "a")]
    path.write_bytes(b"PK\x03\x04\x14\x00")
    with pytest.raises(InvalidRequestError, match="pairs: is a zip file, such as xlsx"):
        resolved(path)


def test_a_wrong_csv_file(tmp_path: Path) -> None:
    """One wrong line refuses all; every one is named, by the line on which its record begins."""
    path = tmp_path / "pairs.csv"
    path.write_text('duplicate,survivor\na,x\n\nb\n"c\nc",x\na,y\n"d"d,x\ne,e,x\n')
    with pytest.raises(InvalidRequestError) as caught:
        resolved(path)
    assert "line 4, survivor: is empty" in str(caught.value)
    assert "line 5, duplicate: holds the control character U+" in str(caught.value)
    assert "line 7: the duplicate has another survivor in line 2" in str(caught.value)
    assert "line 8: has a quote in the wrong place" in str(caught.value)
    assert "line 9: has 3 cells, and there are 2 columns; is a cell with the delimiter" in str(caught.value)
    path.write_text("duplicate,survivor\n1,x\n2,\n-3,4\n")
    with pytest.raises(InvalidRequestError) as caught:
        resolved(path, by="id")
    assert "line 2, survivor: is no number" in str(caught.value)
    assert "line 3, survivor: is empty" in str(caught.value)
    assert "line 4, duplicate: is no number" in str(caught.value)


def packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"old,new\n1,2\n", "line 1: there is no column 'duplicate'; name it by duplicate_column, survivor_column"),
        (
            b"duplicate;survivor\n1;2\n",
            "line 1: there is no column 'duplicate'; the header is one column, in which ';'",
        ),
        (b"duplicate,survivor,survivor\n1,2,3\n", "line 1: there are 2 columns 'survivor'"),
        (b"duplicate,survivor\na,b\n\xff,x\n", "line 3: column 'duplicate' has bytes that are not utf-8-sig"),
        (b"duplicate,survivor,\xff\n", "line 1: the header is not utf-8-sig; give the file's encoding"),
        (b"", "line 1: there is no column 'duplicate'"),
        (packed(b"duplicate,survivor\n")[:-9], "the gzip file {path} is cut off"),
        (packed(b"duplicate,survivor\n" + b"a,b\n" * 100_000)[:-9], "the gzip file {path} is cut off"),
    ],
    ids=["names", "delimiter", "twice", "bytes", "bytes-of-header", "empty", "cut-header", "cut"],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    """Merging cannot be undone, so nothing is guessed: not even which of two columns is meant."""
    path = tmp_path / "pairs.csv"
    path.write_bytes(content)
    with pytest.raises(InvalidRequestError) as caught:
        resolved(path)
    expected = problem.replace("{path}", str(path))
    assert f"merges.plan_many: pairs: {expected}" in str(caught.value)


def test_an_impossible_dialect_is_refused(tmp_path: Path) -> None:
    """Before the file is opened."""
    for options in ({"delimiter": ";;"}, {"encoding": "utf-9"}):
        columns = PairColumns(duplicate="duplicate", survivor="survivor", format=options)
        with pytest.raises(InvalidRequestError, match=r"merges.plan_many: pairs: cannot be read like this"):
            resolve_pairs(tmp_path / "none.csv", key_type_of("custom_id"), "flatten", columns)


def test_long_chains_and_many_pairs() -> None:
    """No recursion, and no time to speak of: a chain of thousands, and thousands of pairs."""
    chain = {str(number): str(number + 1) for number in range(5_000)}
    (merge,) = resolved(chain).merges
    assert merge.keys[:3] == ("5000", "4999", "4998")
    assert len(resolved(chain, "order").merges) == 5_000
    with pytest.raises(InvalidRequestError, match=r"a cycle of 5001: .* into …"):
        resolved({**chain, "5000": "0"})
    pairs = ((f"d-{number}", f"s-{number // 3}") for number in range(9_000))
    assert len(resolved(pairs).merges) == 3_000


def family(client: Synerise) -> None:
    put(
        client,
        {"customId": "a", "attributes": {"x": "a", "y": "a", "z": "a"}},
        {"customId": "b", "attributes": {"x": "b", "y": "b"}},
        {"customId": "c", "attributes": {"x": "c"}},
        {"customId": "d", "attributes": {"z": "d", "w": "d"}},
        {"customId": "p", "attributes": {"q": 1}},
        {"customId": "q", "attributes": {"q": 2, "r": 2}},
    )


PAIRS = {"a": "b", "b": "c", "d": "c", "q": "p"}


@pytest.mark.parametrize("on_chain", ["flatten", "order"])
def test_a_set_comes_true(sandbox: Sandbox, client: Synerise, tmp_path: Path, on_chain: Any) -> None:
    """Each plan foresees what those before it leave; applied again, all of it is done."""
    family(client)
    plans = client.merges.plan_many(PAIRS, by="custom_id", on_chain=on_chain)
    expected = {plan.target.key: plan.after for plan in plans}
    seen: list[MergeProgress] = []
    result = plans.apply(audit=tmp_path / "audit.jsonl", actor="anna", progress=seen.append)
    assert isinstance(result, MergeSetResult)
    assert (result.complete, result.done, result.plans, result.unexpected) == (True, len(plans), len(plans), {})
    assert result.merged == (PAIRS if on_chain == "order" else {"b": "c", "a": "c", "d": "c", "q": "p"})
    assert stored(client, "c") == expected["c"]
    assert stored(client, "c").attributes == {"x": "c", "y": "b", "z": "a", "w": "d"}
    assert stored(client, "p") == expected["p"]
    assert [now.plans_done for now in seen] == list(range(1, len(plans) + 1))
    count = len(merges(sandbox))
    again = plans.apply(audit=tmp_path / "audit.jsonl", actor="anna")
    assert (again.complete, again.resumed, len(merges(sandbox))) == (True, 4, count)
    assert str(again) == f"{len(plans)} of {len(plans)} plans applied: 4 merged (4 of them by an earlier call)"


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    parents=st.lists(st.integers(0, 6), min_size=1, max_size=6),
    holders=st.lists(st.frozensets(st.integers(0, 6)), min_size=3, max_size=3),
)
def test_flat_and_ordered_chains_are_one(
    server: tuple[Sandbox, Synerise], parents: list[int], holders: list[frozenset[int]]
) -> None:
    """Whichever way a tree of duplicates is merged, the survivors hold the same."""
    sandbox, client = server
    keys = [f"k-{number}" for number in range(len(parents) + 1)]
    # Each duplicate's survivor has a lower number, so there is no cycle.
    pairs = {keys[number]: keys[parent % number] for number, parent in enumerate(parents, 1)}
    found = []
    for on_chain in ("flatten", "order"):
        sandbox.store.clear()
        for number, key in enumerate(keys):
            mine = {f"n-{at}": key for at, of in enumerate(holders) if number in of}
            client.profiles.upsert({"customId": key, "attributes": mine})
        plans = client.merges.plan_many(pairs, by="custom_id", on_chain=on_chain)  # type: ignore[arg-type]
        assert plans.apply(audit=None, actor="hypothesis").complete
        found.append(
            {
                key: snapshot_of(client.profiles.find("by-custom-id", key)).attributes
                for key in keys
                if sandbox.store.profiles.find("customId", key) is not None
            }
        )
    assert found[0] == found[1]


@pytest.fixture(scope="module")
def server() -> Any:
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        yield sandbox, client


def test_a_set_is_shown(client: Synerise, tmp_path: Path) -> None:
    """Counts and a row a plan; values where they are asked for; nothing personal in the repr."""
    family(client)
    pairs = [*PAIRS.items(), ("nobody", "p"), ("a", "b"), ("x", "nowhere")]
    plans = client.merges.plan_many(pairs, by="custom_id")
    text = str(plans)
    assert plans.summary() in text
    assert "3 plans by custom_id: 4 profiles to merge" in text
    assert "3 profiles not found, 1 plan that cannot be applied, 1 link of chains, 1 repeated pair" in text
    assert len(plans) == len(list(plans)) == 3
    assert [plan.fingerprint for plan in plans] == [plans[0].fingerprint, plans[1].fingerprint, plans[-1].fingerprint]
    assert "nowhere" not in repr(plans) + text
    assert "nowhere" in plans.to_text(show_values=True)
    assert "and 2 more" in plans.to_text(max_plans=1)
    page = plans.to_html(show_values=True)
    plans.write_html(tmp_path / "page.html", show_values=True)
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page
    assert page.count("<section>") == 3
    assert "nowhere" in page
    assert "nowhere" not in plans.to_html()
    assert len(plans.to_dict()["plans"]) == 3


def test_a_set_is_written_and_read(sandbox: Sandbox, client: Synerise, tmp_path: Path) -> None:
    """Signed one day, applied the next; what was altered or cut off is refused."""
    family(client)
    path = tmp_path / "plans.jsonl"
    plans = client.merges.plan_many(PAIRS, by="custom_id")
    plans.write_jsonl(path)
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    loaded = MergePlanSet.read_jsonl(path)
    assert (str(loaded), list(loaded), loaded.counts) == (str(plans), list(plans), plans.counts)
    with pytest.raises(ConfigurationError, match=r"client\.merges\.apply_many"):
        loaded.apply(audit=None, actor="anna")
    whole = path.read_bytes()
    for wrong in (b"", b"{}\n", whole[: whole.rindex(b"\n", 0, -1) + 1], whole.replace(b'"w":"d"', b'"w":"e"'), b"x\n"):
        path.write_bytes(wrong)
        with pytest.raises(InvalidRequestError):
            MergePlanSet.read_jsonl(path)
    first, *rest = whole.splitlines(keepends=True)
    changed = [
        first.replace(b'"repeated":0', b'"repeated":1'),
        first.replace(b'"copied":', b'"copied":1'),
        first.replace(b'"format":1', b'"format":2'),
        b'{"x":1,' + first[1:],
    ]
    for lines in (*([header, *rest] for header in changed), [first, *reversed(rest)], [first, rest[0], *rest[:-1]]):
        assert lines != [first, *rest]
        path.write_bytes(b"".join(lines))
        with pytest.raises(InvalidRequestError):
            MergePlanSet.read_jsonl(path)
    assert client.merges.apply_many(loaded, audit=None, actor="anna").complete


def test_a_refused_plan_stops_a_set_or_is_left_out(sandbox: Sandbox, client: Synerise, tmp_path: Path) -> None:
    """As `on_refusal` says; either way the result names the plan and the reason."""
    family(client)
    plans = client.merges.plan_many({"a": "b", "q": "p", "d": "c"}, by="custom_id")
    put(client, {"customId": "p", "city": "Sopot"})
    audit = tmp_path / "audit.jsonl"
    with pytest.raises(MergeStoppedError, match="plan 2: target: city is new") as caught:
        plans.apply(audit=audit, actor="anna")
    stopped = caught.value.result
    assert isinstance(stopped, MergeSetResult)
    assert isinstance(caught.value.__cause__, MergeRefusedError)
    assert (stopped.done, dict(stopped.merged)) == (1, {"a": "b"})
    assert {item.source: item.reason for item in stopped.not_merged} == {"q": "refused", "d": "unsent"}
    result = plans.apply(audit=audit, actor="anna", on_refusal="skip")
    assert (result.done, result.merged, result.complete) == (2, {"a": "b", "d": "c"}, False)
    assert result.refused == {"p": ("target: city is new",)}
    assert "1 plan refused" in str(result)
    with pytest.raises(InvalidRequestError, match="on_refusal"):
        plans.apply(audit=None, actor="anna", on_refusal="never")  # type: ignore[arg-type]


def test_a_failed_group_stops_a_set(sandbox: Sandbox, client: Synerise, tmp_path: Path) -> None:
    """Even where refused plans are left out; the same set goes on from there, by one audit."""
    family(client)
    plans = client.merges.plan_many({"a": "b", "q": "p", "d": "c"}, by="custom_id")
    audit = tmp_path / "audit.jsonl"

    def breaks(now: MergeProgress) -> None:
        if now.plans_done == 1:
            sandbox.faults.status(400, operation=MERGE, times=1)

    with pytest.raises(MergeStoppedError, match="plan 2: group 1 of 1") as caught:
        plans.apply(audit=audit, actor="anna", on_refusal="skip", progress=breaks)
    assert {item.source: item.reason for item in caught.value.result.not_merged} == {"q": "failed", "d": "unsent"}
    result = plans.apply(audit=audit, actor="anna")
    assert (result.complete, result.resumed, merges(sandbox)) == (True, 1, [200, 400, 200, 200])
    assert len({entry["plan"] for entry in read_audit(audit)}) == 3


def test_planning_many_reads_each_profile_once(sandbox: Sandbox, client: Synerise) -> None:
    """In pages; progress is reported after each."""
    keys = numbered(client, 600)
    pairs: Mapping[str, str] = {key: keys[at - at % 3] for at, key in enumerate(keys) if at % 3}
    sandbox.log.clear()
    seen: list[MergeProgress] = []
    plans = client.merges.plan_many(pairs, by="custom_id", progress=seen.append)
    assert (len(plans), plans.counts.profiles, plans.counts.missing) == (200, 400, 0)
    assert len(sandbox.log) == 600
    assert len(seen) == 3
    assert (seen[-1].plans_done, seen[-1].plans, seen[-1].profiles) == (200, 200, 600)


def test_planning_a_long_chain_reads_each_profile_once(sandbox: Sandbox, client: Synerise) -> None:
    """Also where it is ordered, and its links are in different pages."""
    keys = numbered(client, 300)
    sandbox.log.clear()
    plans = client.merges.plan_many(dict(itertools.pairwise(keys)), by="custom_id", on_chain="order")
    assert len(plans) == 299
    assert len(sandbox.log) == 300
    last = plans[-1].after
    assert last is not None
    assert len(last.attributes) == 300


def test_a_set_does_not_grow_in_memory(client: Synerise) -> None:
    """Plans beyond a few megabytes are on the disk, and read one at a time."""
    put(client, {"customId": "jan"}, {"customId": "janek", "attributes": {"text": "x" * 100_000}})
    plan = client.merges.plan(into="jan", sources=["janek"], by="custom_id")
    plans = MergePlanSet("custom_id")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(600):  # 120 MB
        plans.add(plan)
    assert sum(1 for _ in plans) == 600
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000
    assert plans[599] == plan


def test_no_file_of_the_plans_takes_the_place_of_the_pairs(sandbox: Sandbox, client: Synerise, tmp_path: Path) -> None:
    """Under whatever name: what was read is still needed."""
    numbered(client, 2)
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("duplicate,survivor\ns-1,s-0\n", encoding="utf-8")
    (tmp_path / "link").symlink_to(pairs)
    plans = client.merges.plan_many(pairs, by="custom_id")
    for path in (pairs, tmp_path / "link"):
        for write in (plans.write_jsonl, plans.write_html):
            with pytest.raises(InvalidRequestError, match="same file as the file of the pairs"):
                write(path)
    assert pairs.read_text(encoding="utf-8").startswith("duplicate")
    plans.write_jsonl(tmp_path / "plans.jsonl")


@pytest.mark.parametrize(
    ("cell", "options", "duplicate"),
    [
        (" 'a'", {"quotechar": "'", "skipinitialspace": True}, "a"),
        ('"a', {"quotechar": None}, '"a'),
        ('"a\\"b"', {"escapechar": "\\"}, 'a"b'),
    ],
)
def test_the_format_of_a_file_of_pairs_is_an_option(
    client: Synerise, tmp_path: Path, cell: str, options: Any, duplicate: str
) -> None:
    """Marks of quotes and escapes and blanks after delimiters, as for sources; None stands for no quotes."""
    path = tmp_path / "pairs.csv"
    path.write_text(f"survivor,duplicate\nb,{cell}\n")
    plans = client.merges.plan_many(path, by="custom_id", **options)
    assert [(plan.target.key, [source.key for source in plan.sources]) for plan in plans] == [("b", [duplicate])]

"""The subcommands `merge-plan` and `merge-apply`: what merges would do, as text, page and file; and doing it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .command import Command, CommandError

if TYPE_CHECKING:
    from synerise_profiles import Synerise
    from synerise_profiles.merges import MergePlanSet, MergeSetResult

_SIGN_IN_TEXT = " It signs in by the environment: SYNERISE_API_KEY, and SYNERISE_REGION or SYNERISE_BASE_URL."


def _add_plan_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--by", choices=("custom_id", "id"), required=True, help="how profiles are named")
    parser.add_argument("--into", metavar="ID", help="the profile that stays")
    parser.add_argument("sources", metavar="ID", nargs="*", help="profiles to merge into it, in this order")
    parser.add_argument("--show-values", action="store_true", help="show ids and values: personal data")
    parser.add_argument("--html", metavar="FILE", help="write a page for sign-off; with --show-values it shows values")
    parser.add_argument("--save", metavar="FILE", help="write the plans for merge-apply, personal data included")
    pairs = parser.add_argument_group("many at once")
    pairs.add_argument("--pairs", metavar="CSV", help="file of duplicates and survivors, instead of --into")
    pairs.add_argument("--duplicate-column", default="duplicate", metavar="NAME", help="(default: duplicate)")
    pairs.add_argument("--survivor-column", default="survivor", metavar="NAME", help="(default: survivor)")
    pairs.add_argument("--delimiter", metavar="CHARACTER", help="(default: ,)")
    pairs.add_argument("--encoding", default="utf-8-sig", metavar="NAME", help="of the file (default: UTF-8)")
    pairs.add_argument("--skip-lines", type=int, default=0, metavar="N", help="lines above the header (default: none)")
    pairs.add_argument("--comment", metavar="MARK", help="what lines begin with that are comments")
    pairs.add_argument(
        "--on-chain",
        choices=("flatten", "order", "refuse"),
        default="flatten",
        help="what to do where a survivor is a duplicate itself (default: flatten)",
    )


def _add_apply_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("plans", metavar="FILE", help="plans that merge-plan --save wrote")
    parser.add_argument("--actor", required=True, help="who merges, for the audit")
    parser.add_argument("--audit", required=True, metavar="FILE", help="JSONL file that is appended to, ids included")
    parser.add_argument("--group-size", type=int, metavar="NUMBER", help="sources a request")
    parser.add_argument("--allow-changes", action="store_true", help="merge although profiles have changed since")
    parser.add_argument("--skip-refused", action="store_true", help="leave out plans that are refused")
    parser.add_argument("--yes", action="store_true", help="merge: it is irreversible, so this has to be said")


def _plan(options: argparse.Namespace) -> int:
    """Show plans; change nothing."""
    if (options.pairs is None) == (options.into is None) or bool(options.sources) != (options.into is not None):
        raise CommandError("merge-plan: give --into ID and the ids to merge, or --pairs CSV")
    with _errors_as_problems(), _client() as client:
        _check_files({"--html": options.html, "--save": options.save}, "--pairs", options.pairs)
        plans = _plans(client, options)
        sys.stdout.write(plans.to_text(show_values=options.show_values) + "\n")
        if options.html is not None:
            plans.write_html(options.html, show_values=options.show_values)
        if options.save is not None:
            plans.write_jsonl(options.save)
    return 0


def _plans(client: Synerise, options: argparse.Namespace) -> MergePlanSet:
    if options.pairs is not None:
        return client.merges.plan_many(
            options.pairs,
            by=options.by,
            on_chain=options.on_chain,
            duplicate_column=options.duplicate_column,
            survivor_column=options.survivor_column,
            encoding=options.encoding,
            skip_lines=options.skip_lines,
            **{name: getattr(options, name) for name in ("delimiter", "comment") if getattr(options, name) is not None},
        )
    into, *sources = (_key(text, options.by) for text in (options.into, *options.sources))
    return client.merges.plan_many([(source, into) for source in sources], by=options.by)


def _apply(options: argparse.Namespace) -> int:
    """Merge; 0 only if everything is merged."""
    from synerise_profiles.merges import MergePlanSet, MergeSetResult, MergeStoppedError  # noqa: PLC0415 - when run

    with _errors_as_problems(), _client() as client:
        _check_files({"--audit": options.audit}, "the plans", options.plans, is_appended=True)
        plans = MergePlanSet.read_jsonl(options.plans)
        if not options.yes:
            raise CommandError(f"{plans.summary()}. Merging is irreversible; say --yes to do it")
        try:
            result = client.merges.apply_many(
                plans,
                actor=options.actor,
                audit=options.audit,
                group_size=options.group_size,
                allow_changes=options.allow_changes,
                on_refusal="skip" if options.skip_refused else "stop",
            )
        except MergeStoppedError as error:
            if isinstance(error.result, MergeSetResult):
                _print_result(error.result)
            raise CommandError(
                f"{error.problem}. What is not merged is named in the audit; run it again to go on"
            ) from None
    _print_result(result)
    return 0 if result.complete else 1


def _check_files(
    written: Mapping[str, str | None], read_as: str, read: str | None, *, is_appended: bool = False
) -> None:
    """Refuse, before anything is asked for, what cannot be written, and files that are one."""
    from synerise_profiles._core.files import file_id, refuse_same_files, target_of  # noqa: PLC0415 - when run

    targets = {
        name: None if path is None else target_of(path, name, is_appended=is_appended) for name, path in written.items()
    }
    refuse_same_files(targets, {read_as: None if read is None else file_id(read)})


def _print_result(result: MergeSetResult) -> None:
    sys.stdout.write(result.summary() + "\n")
    reasons = {problem for problems in result.refused.values() for problem in problems}
    for reason in sorted(reasons):
        sys.stderr.write(f"refused: {reason}\n")


def _key(text: str, by: str) -> int | str:
    if by == "custom_id":
        return text
    try:
        return int(text)
    except ValueError:
        raise CommandError("merge-plan: with --by id every id is a number") from None


@contextmanager
def _errors_as_problems() -> Generator[None]:
    """What goes wrong is one line."""
    from synerise_profiles import SyneriseError  # noqa: PLC0415 - when run

    try:
        yield
    except (SyneriseError, OSError) as error:
        raise CommandError(str(error)) from None


def _client() -> Synerise:
    from synerise_profiles import Synerise  # noqa: PLC0415 - when run

    return Synerise.from_env()


PLAN = Command(
    name="merge-plan",
    summary="what merging profiles would do; changes nothing",
    description="Read profiles and show what merging them would copy and lose." + _SIGN_IN_TEXT,
    add_arguments=_add_plan_arguments,
    run=_plan,
)
APPLY = Command(
    name="merge-apply",
    summary="merge profiles as saved plans say; irreversible",
    description="Merge as plans say that merge-plan saved, with an audit. Run again to go on after a stop."
    + _SIGN_IN_TEXT,
    add_arguments=_add_apply_arguments,
    run=_apply,
)

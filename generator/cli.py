"""Command line: build the generated tree, check it, audit the spec, list the surface, tell what changed for callers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from difflib import unified_diff
from pathlib import Path
from typing import Any

from generator.audit.deviations import Deviation, load_deviations
from generator.errors import GeneratorFailure
from generator.rules import check_rules
from generator.spec.fragments import DEVIATIONS_FILE, load_fragments

PROJECT = Path(__file__).resolve().parent.parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 all is well, 1 something was found, 2 wrong usage."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except GeneratorFailure as failure:
        for finding in failure.findings:
            print(finding, file=sys.stderr)
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m generator", description=__doc__)
    parser.add_argument("--root", type=Path, default=PROJECT, help=argparse.SUPPRESS)
    commands = parser.add_subparsers(required=True, metavar="command")
    build = commands.add_parser("build", help="write generated/ anew")
    build.set_defaults(run=_build)
    check = commands.add_parser("check", help="apply the rules and compare generated/ with what build would write")
    check.add_argument("--rules-only", action="store_true", help="leave generated/ out")
    check.set_defaults(run=_check)
    _add_audit(commands)
    surface = commands.add_parser("surface", help="write surface.txt: every public name with its signature")
    surface.add_argument("--check", action="store_true", help="compare it instead, and show what differs")
    surface.set_defaults(run=_surface)
    diff = commands.add_parser("diff", help="tell in Markdown what changed for callers, and which version it asks for")
    diff.add_argument("base", help="a git revision, or a folder that holds the project as it was")
    diff.set_defaults(run=_diff)
    upgrade = commands.add_parser("upgrade", help="show what another version of openapi-python-client would change")
    upgrade.add_argument("version", help="the version to rehearse; the tree stays as it is")
    upgrade.set_defaults(run=_upgrade)
    release = commands.add_parser("release", help="say what stands against a release of this tree")
    release.add_argument("base", nargs="?", help="the git revision of the last release; left out, it is the first")
    release.set_defaults(run=_release)
    site = commands.add_parser("site", help="write what a site builder reads, or check the site that it built")
    site.add_argument("folder", type=Path)
    site.add_argument("--check", action="store_true", help="look for links that lead nowhere in FOLDER/html")
    site.set_defaults(run=_site)
    return parser


def _add_audit(commands: Any) -> None:  # argparse gives what adds parsers no public name
    """Add the commands that read a reference text."""
    audit_command = commands.add_parser("audit", help="compare the specification with the reference text")
    audit_command.add_argument("--document", type=Path, required=True, help="the reference text")
    audit_command.add_argument("--against", type=Path, help="an older edition, or an index of it: tell what changed")
    audit_command.add_argument("--spec", type=Path, help="folder of the specification (default: the project's)")
    audit_command.add_argument(
        "--deviations",
        type=Path,
        action="append",
        help="declared differences; may be repeated (default: the project's)",
    )
    audit_command.add_argument("--json", action="store_true", help="print the report as JSON")
    audit_command.set_defaults(run=_audit)
    lock = commands.add_parser("lock", help="write spec/reference.lock: the sentences that the spec's rules rest on")
    lock.add_argument(
        "--document", type=Path, help="the reference text; left out, only the rules are brought up to date"
    )
    lock.set_defaults(run=_lock)


def _build(options: argparse.Namespace) -> int:
    from generator.output.build import build  # noqa: PLC0415  # the audit runs without the parser and the templates

    _own_deviations(options.root)
    build(options.root)
    return 0


def _check(options: argparse.Namespace) -> int:
    from generator.audit.lock import key_findings, load_lock  # noqa: PLC0415  # each command loads what it runs

    _own_deviations(options.root)
    bundle = load_fragments(options.root / "spec")
    lines = [str(finding) for finding in check_rules(bundle) or key_findings(bundle, load_lock(options.root / "spec"))]
    if not lines and not options.rules_only:
        from generator.output.build import compare  # noqa: PLC0415  # the rules run without them, too

        lines = compare(options.root)
    for line in lines:
        print(line)
    return 1 if lines else 0


def _surface(options: argparse.Namespace) -> int:
    from generator.surface.listing import FILE, make_surface  # noqa: PLC0415  # as above

    path: Path = options.root / FILE
    made = make_surface(options.root)
    if not options.check:
        path.write_bytes(made)
        return 0
    found = path.read_bytes() if path.exists() else b""
    if found == made:
        return 0
    before, after = (content.decode(errors="replace").splitlines() for content in (found, made))
    print(*unified_diff(before, after, FILE, f"{FILE} as it should be", lineterm="", n=0), sep="\n")
    return 1


def _diff(options: argparse.Namespace) -> int:
    from generator.changes.base import folder_state, revision_state  # noqa: PLC0415  # as above
    from generator.changes.report import report_changes  # noqa: PLC0415

    # An empty name is no folder, though a path of it would be the current one.
    base = Path(options.base)
    old = folder_state(base) if options.base and base.is_dir() else revision_state(options.root, options.base)
    report = report_changes(options.base, old, folder_state(options.root))
    print(report.to_markdown(), end="")
    return 0 if report.is_covered else 1


def _upgrade(options: argparse.Namespace) -> int:
    from generator.upgrade import rehearse  # noqa: PLC0415  # as above

    print(rehearse(options.root, options.version).to_text(), end="")
    return 0


def _release(options: argparse.Namespace) -> int:
    from generator.changes.release import release_findings  # noqa: PLC0415  # as above

    found = release_findings(options.root, options.base)
    for finding in found:
        print(finding)
    return 1 if found else 0


def _site(options: argparse.Namespace) -> int:
    from generator.site.building import write_site_source  # noqa: PLC0415  # as above
    from generator.site.checking import site_problems  # noqa: PLC0415

    folder: Path = options.folder
    if not options.check:
        write_site_source(options.root, folder)
        return 0
    found = site_problems(folder / "html")
    for line in found:
        print(line)
    return 1 if found else 0


def _audit(options: argparse.Namespace) -> int:
    from generator.audit.command import AuditOptions, run_audit  # noqa: PLC0415  # as above

    spec: Path = options.spec or options.root / "spec"
    wanted = AuditOptions(spec, _deviations(options), options.document, options.against)
    report = run_audit(wanted)
    print(report.to_json() if options.json else report.to_text(), end="")
    return 0 if report.ok else 1


def _lock(options: argparse.Namespace) -> int:
    from generator.audit.command import lock_text  # noqa: PLC0415  # as above
    from generator.audit.lock import LOCK_FILE  # noqa: PLC0415

    spec: Path = options.root / "spec"
    text = lock_text(spec, _own_deviations(options.root), options.document)
    (spec / LOCK_FILE).write_text(text, encoding="utf-8", newline="\n")
    return 0


def _deviations(options: argparse.Namespace) -> list[Deviation]:
    """The files that were named, else the project's own if it has one."""
    named: list[Path] | None = options.deviations
    if named is None:
        return _own_deviations(options.root)
    return [deviation for path in named for deviation in load_deviations(path, path.name)]


def _own_deviations(root: Path) -> list[Deviation]:
    """The project's file, read by the build too, so that a broken one is seen at once."""
    path = root / "spec" / DEVIATIONS_FILE
    return load_deviations(path, f"spec/{DEVIATIONS_FILE}") if path.exists() else []

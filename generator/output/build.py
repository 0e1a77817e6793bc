"""The way from spec/ to generated/: bundle, rules, parser, templates, format, lock, swap."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from generator import upstream
from generator.errors import GeneratorFailure
from generator.output.formatting import format_python, ruff_version
from generator.output.lock import make_lock
from generator.output.rendering import MARK, render
from generator.output.tree import compare_tree, write_tree
from generator.rules import check_rules
from generator.spec.fragments import load_fragments
from generator.spec.serialization import dump_yaml

TARGET = "generated"
BUNDLE_FILE = "openapi.yaml"
LOCK_FILE = "generated.lock"


def build(root: Path) -> int:
    """Write generated/ anew; return how many files it has."""
    files = make_files(root / "spec", root / "overlays" / "templates")
    write_tree(files, root / TARGET)
    return len(files)


def compare(root: Path) -> list[str]:
    """What in generated/ is not as the spec and the templates would make it, a line each."""
    return compare_tree(make_files(root / "spec", root / "overlays" / "templates"), root / TARGET)


def make_files(spec: Path, templates: Path) -> dict[str, bytes]:
    """Every file of generated/ by its path below it."""
    merged = load_fragments(spec)
    findings = check_rules(merged)
    if findings:
        raise GeneratorFailure(findings)
    data = upstream.parse(merged)
    rendered = format_python(render(merged, data, templates))
    rendered[BUNDLE_FILE] = f"{MARK}\n{dump_yaml(merged.document)}"
    outputs = {name: rendered[name].encode() for name in sorted(rendered)}
    outputs[LOCK_FILE] = make_lock(_inputs(spec, templates), _tools(), outputs)
    return outputs


def _inputs(spec: Path, templates: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for folder, patterns in ((spec, ("*.yaml",)), (templates, ("*.jinja", "*.py"))):
        for pattern in patterns:
            for path in folder.rglob(pattern):
                found[f"{folder.name}/{path.relative_to(folder).as_posix()}"] = path.read_bytes()
    return dict(sorted(found.items()))


def _tools() -> dict[str, str]:
    return {
        "jinja2": version("jinja2"),
        "openapi-python-client": upstream.VERSION,
        "pyyaml": version("pyyaml"),
        "ruff": ruff_version(),
    }

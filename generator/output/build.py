"""The way from spec/ to generated/: bundle, rules, parser, templates, format, swap."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from generator import upstream
from generator.errors import GeneratorFailure
from generator.output.formatting import format_python, ruff_version
from generator.output.publishing import published
from generator.output.rendering import MARK, render
from generator.output.tree import compare_tree, write_tree
from generator.parsed import ParsedSpec
from generator.rules import check_rules
from generator.spec.fragments import load_fragments
from generator.spec.serialization import dump_yaml
from generator.views.names import name_findings

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
    bundle = load_fragments(spec)
    findings = check_rules(bundle) or name_findings(bundle, templates)
    if findings:
        raise GeneratorFailure(findings)
    parsed = upstream.parse(bundle)
    files = format_python(render(bundle, parsed, templates))
    files[BUNDLE_FILE] = f"{MARK}\n{dump_yaml(published(bundle))}"
    files[LOCK_FILE] = _lock(parsed)
    return {name: files[name].encode() for name in sorted(files)}


def _lock(parsed: ParsedSpec) -> str:
    """The tools that the files were made with, and how the parser sees each model and operation.

    So that another version is seen as the cause of a difference, and one that changes no file is seen at all. No hash
    of an input or of all: every edit would change it, so that no two edits could be merged.
    """
    tools = {
        "jinja2": version("jinja2"),
        "openapi-python-client": upstream.VERSION,
        "pyyaml": version("pyyaml"),
        "ruff": ruff_version(),
    }
    lines = [MARK, *(f"{name}=={tools[name]}" for name in sorted(tools))]
    lines += [f"{name} {digest}" for name, digest in parsed.digests()]
    return "".join(f"{line}\n" for line in lines)

"""Names that rooms share: what deploy/ and docs/ call a metric or a rule exists in the agent."""

import pathlib
import re

from report import Report

METRIC = re.compile(r"\bbulkhead_[a-z_]+\b")
RULE = re.compile(r"\bBH-[A-Z0-9][A-Z0-9-]*\b")
# Only what stands in quotes: the crates are called bulkhead_something too.
QUOTED = re.compile(r'"([^"\n]*)"')
# Suffixes that a reader or a text format adds to a name.
SUFFIXES = ("", "_total")


def check(root: pathlib.Path, report: Report) -> None:
    sources = [*(root / "policy").rglob("*.rs"), *(root / "agent").rglob("*.rs")]
    code = "\n".join(path.read_text() for path in sources)
    texts = [*(root / "deploy").rglob("*.yaml"), *(root / "docs" / "runbooks").glob("*.md")]
    exported = {name for quoted in QUOTED.findall(code) for name in METRIC.findall(quoted)}
    compare(report, "every metric that an alert or a runbook names is exported", METRIC, texts, exported)
    texts += [root / "docs" / "threat-model.md", root / "docs" / "kernel-support.md",
              *(root / "tests" / "deploy" / "alert-tests").glob("*.yaml")]
    compare(report, "every rule that is named is in the catalogue", RULE, texts, set(RULE.findall(code)))


def compare(report: Report, promise: str, pattern: re.Pattern, texts: list[pathlib.Path], known: set[str]) -> None:
    if not known:
        report.skipped(promise, "the agent's sources name none yet")
        return
    faults = []
    for path in texts:
        for name in sorted(set(pattern.findall(path.read_text()))):
            if not {name.removesuffix(suffix) for suffix in SUFFIXES} & known:
                faults.append(f"{path.name}: {name}")
    report.result(promise, faults)

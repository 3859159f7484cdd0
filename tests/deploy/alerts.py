"""The alert rules: promtool's check and unit tests, and a runbook page for each alert."""

import copy
import pathlib
import re
import shutil
import subprocess
import tempfile

import yaml

from report import Report

RULES = "bulkhead.rules.yaml"
SEVERITIES = {"info", "warning", "critical"}


def plain_rules(root: pathlib.Path) -> str:
    """The rules as a plain Prometheus rule file, taken out of the PrometheusRule."""
    resource = yaml.safe_load((root / "deploy" / "alerts" / "prometheusrule.yaml").read_text())
    head = "# Made from deploy/alerts/prometheusrule.yaml; change that file, not this one.\n"
    return head + yaml.safe_dump(resource["spec"], sort_keys=False, width=1000)


def check(root: pathlib.Path, report: Report) -> None:
    spec = yaml.safe_load(plain_rules(root))
    alerts = {rule["alert"]: rule for group in spec["groups"] for rule in group["rules"] if "alert" in rule}
    tests = sorted((root / "tests" / "deploy" / "alert-tests").glob("*.test.yaml"))
    report.result("promtool accepts the rules", promtool(spec, [], "check", "rules", RULES))
    report.result("promtool accepts the scrape configuration", scrape_config(root))
    for test in tests:
        report.result(f"unit tests of {test.name.removesuffix('.test.yaml')}",
                      promtool(spec, [test], "test", "rules", test.name))
    report.result("each alert is tested to fire and not to fire", untested(alerts, tests))
    report.result("the unit tests notice an alert that never fires", survivors(spec, tests, never))
    report.result("the unit tests notice an alert that looks at increases alone", survivors(spec, tests, increase_alone))
    report.result("the unit tests notice an alert that looks at new series alone", survivors(spec, tests, births_alone))
    report.result("each alert has a severity, a summary, a description and its runbook's address", incomplete(alerts))
    report.result("each alert has a runbook page, and each page an alert", strangers(root, alerts))


def promtool(spec: dict, tests: list[pathlib.Path], *arguments: str) -> list[str]:
    """Runs promtool where the rules and the tests lie side by side."""
    with tempfile.TemporaryDirectory(prefix="bulkhead-alerts-") as folder:
        (pathlib.Path(folder) / RULES).write_text(yaml.safe_dump(spec))
        for test in tests:
            shutil.copy(test, folder)
        done = subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True)
    return [] if done.returncode == 0 else [(done.stdout + done.stderr).strip()]


def scrape_config(root: pathlib.Path) -> list[str]:
    config = yaml.safe_load((root / "deploy" / "alerts" / "scrape-config.yaml").read_text())
    job = config["scrape_configs"][0]
    if job.pop("kubernetes_sd_configs", [{}])[0].get("role") != "pod":
        return ["the job does not discover pods"]
    # Debian builds promtool without Kubernetes discovery, so all but that part is shown to it.
    job["static_configs"] = [{"targets": ["localhost:9631"]}]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(config, file)
        file.flush()
        done = subprocess.run(["promtool", "check", "config", file.name], capture_output=True, text=True)
    return [] if done.returncode == 0 else [(done.stdout + done.stderr).strip()]


def untested(alerts: dict, tests: list[pathlib.Path]) -> list[str]:
    fires, silent = set(), set()
    for test in tests:
        for case in yaml.safe_load(test.read_text())["tests"]:
            for expectation in case["alert_rule_test"]:
                (fires if expectation["exp_alerts"] else silent).add(expectation["alertname"])
    return [f"{name}: no test that it fires" for name in alerts if name not in fires] + [
        f"{name}: no test that it does not fire" for name in alerts if name not in silent
    ]


def never(expression: str) -> str:
    return f"({expression}) and on () (vector(0) > 0)"


def increase_alone(expression: str) -> str:
    """The trap: a counter that is born with 1 has no increase."""
    return re.sub(r"\(\s*(bulkhead_\w+_total(?:{[^}]*})?)\s+unless\s+\1 offset 10m\s*\)\s*or\s*", "", expression)


def births_alone(expression: str) -> str:
    return re.sub(r"\s+or\s+\(increase\(bulkhead_\w+_total(?:{[^}]*})?\[10m\]\) > 0\)", "", expression)


def survivors(spec: dict, tests: list[pathlib.Path], damage) -> list[str]:
    """Alerts whose tests still pass when their expression is damaged. Those without such an arm are left out."""
    faults, damaged = [], 0
    for group_at, group in enumerate(spec["groups"]):
        for rule_at, rule in enumerate(group["rules"]):
            expression = damage(rule["expr"])
            if expression == rule["expr"]:
                continue
            damaged += 1
            broken = copy.deepcopy(spec)
            broken["groups"][group_at]["rules"][rule_at]["expr"] = expression
            own = [test for test in tests if test.name == f"{rule['alert']}.test.yaml"]
            if not own or not promtool(broken, own, "test", "rules", own[0].name):
                faults.append(f"{rule['alert']} is still said to be right")
    return faults if damaged else ["no alert was damaged"]


def incomplete(alerts: dict) -> list[str]:
    faults = []
    for name, rule in alerts.items():
        notes = rule.get("annotations", {})
        if rule.get("labels", {}).get("severity") not in SEVERITIES:
            faults.append(f"{name}: severity")
        faults += [f"{name}: {key}" for key in ("summary", "description") if not notes.get(key)]
        if not notes.get("runbook_url", "").endswith(f"/docs/runbooks/{name}.md"):
            faults.append(f"{name}: runbook_url {notes.get('runbook_url')}")
        # A description names what the series knows, so that one need not open a dashboard first.
        for label in ("tenant", "rule", "relation"):
            if label in grouping(rule["expr"]) and f"$labels.{label}" not in notes.get("description", ""):
                faults.append(f"{name}: the description does not name the {label}")
    return faults


def grouping(expression: str) -> list[str]:
    """The labels that the outermost aggregation keeps."""
    found = re.match(r"\s*\w+ by \(([^)]*)\)", expression)
    return [label.strip() for label in found[1].split(",")] if found else []


def strangers(root: pathlib.Path, alerts: dict) -> list[str]:
    pages = {page.stem: page.read_text() for page in (root / "docs" / "runbooks").glob("*.md")}
    faults = [f"{name} has no page" for name in alerts if name not in pages]
    faults += [f"{name}.md has no alert" for name in pages if name not in alerts]
    for name, text in pages.items():
        faults += [f"{name}.md: no section {heading!r}" for heading in HEADINGS if f"\n## {heading}\n" not in text]
    return faults


HEADINGS = ("What it means", "Check", "Do", "False alarms")

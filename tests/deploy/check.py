"""All checks of deploy/ and docs/runbooks/. Started by check.sh, which provides the tools."""

import pathlib
import sys

import alerts
import manifests
import mutations
import names
from report import Report


def main(root: pathlib.Path, arguments: list[str]) -> int:
    if arguments == ["--rules"]:
        sys.stdout.write(alerts.plain_rules(root))
        return 0
    if arguments:
        print(f"check.sh: unknown argument {arguments[0]!r}; it takes --rules or none", file=sys.stderr)
        return 64
    report = Report()
    report.chapter("manifests")
    manifests.check(root, report)
    report.chapter("the checks of the manifests can fail")
    mutations.check(root, report)
    report.chapter("alert rules and runbooks")
    alerts.check(root, report)
    report.chapter("names")
    names.check(root, report)
    return report.close()


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), sys.argv[2:]))

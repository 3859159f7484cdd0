"""Counts and prints results, so that every chapter of the checks reports alike."""


class Report:
    """What passed and what did not, told as it happens."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0

    def chapter(self, title: str) -> None:
        print(f"== {title}", flush=True)

    def result(self, promise: str, faults: list[str]) -> None:
        """One promise. It holds when there is no fault."""
        if faults:
            self.failed += 1
            print(f"FAIL {promise}", flush=True)
            for fault in faults:
                print("     " + fault.replace("\n", "\n     "), flush=True)
        else:
            self.passed += 1
            print(f"ok   {promise}", flush=True)

    def skipped(self, promise: str, reason: str) -> None:
        print(f"skip {promise}: {reason}", flush=True)

    def close(self) -> int:
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed else 0

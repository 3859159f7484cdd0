"""Breaks the manifests one promise at a time: each break must be noticed, or the check is worth nothing."""

import copy
import pathlib

import manifests
from report import Report


def pod(documents: list[dict]) -> dict:
    return next(d for d in documents if d["kind"] == "DaemonSet")["spec"]["template"]["spec"]


def agent(documents: list[dict]) -> dict:
    return pod(documents)["containers"][0]


def volume(documents: list[dict], name: str) -> dict:
    return next(v for v in pod(documents)["volumes"] if v["name"] == name)


def mount(documents: list[dict], name: str) -> dict:
    return next(m for m in agent(documents)["volumeMounts"] if m["name"] == name)


def of_kind(documents: list[dict], kind: str) -> dict:
    return next(d for d in documents if d["kind"] == kind)


def add_role(documents: list[dict]) -> None:
    documents.append({"kind": "ClusterRole", "metadata": {"name": "bulkhead", "namespace": "bulkhead-system"}})


# promise -> what somebody might do to it one day
BREAKS = {
    "no container is privileged": lambda d: agent(d)["securityContext"].update(privileged=True),
    "no container can gain privileges": lambda d: agent(d)["securityContext"].pop("allowPrivilegeEscalation"),
    "every root file system is read-only": lambda d: agent(d)["securityContext"].pop("readOnlyRootFilesystem"),
    "all capabilities are dropped and only the listed ones added": lambda d: agent(d)["securityContext"][
        "capabilities"
    ]["add"].append("SYS_ADMIN"),
    "seccomp is on": lambda d: pod(d)["securityContext"]["seccompProfile"].update(type="Unconfined"),
    "no API token is mounted, by the pod or its account": lambda d: of_kind(d, "ServiceAccount").pop(
        "automountServiceAccountToken"
    ),
    "nothing is granted in the API": add_role,
    "only the host's process ids are shared, not its network or IPC": lambda d: pod(d).update(hostNetwork=True),
    "the host paths are the listed ones": lambda d: volume(d, "runc")["hostPath"].update(path="/etc"),
    "every host path says what it must be": lambda d: volume(d, "runc")["hostPath"].pop("type"),
    "only evidence, state, profiles, cgroups and the BPF file system are writable": lambda d: mount(d, "runc").pop("readOnly"),
    "no directory with a runtime's socket is mounted": lambda d: volume(d, "containerd-tasks")["hostPath"].update(
        path="/run/containerd"
    ),
    "the agent runs on every node, before tenants, one at a time": lambda d: pod(d).pop("tolerations"),
    "the probes ask /healthz and /readyz on the metrics port": lambda d: agent(d)["readinessProbe"][
        "httpGet"
    ].update(path="/healthz"),
    "the metrics port has one number in pod, service and configuration": lambda d: agent(d)["ports"][0].update(
        containerPort=9632
    ),
    "only a named namespace may read the metrics, and nothing leaves": lambda d: of_kind(d, "NetworkPolicy")["spec"][
        "ingress"
    ][0].pop("from"),
    "memory is limited and requests are stated": lambda d: agent(d)["resources"]["limits"].pop("memory"),
    "the policy is mounted as a directory, so that a change reaches the agent": lambda d: mount(d, "config").update(
        subPath="config.yaml"
    ),
    "the namespace is labelled for Pod Security": lambda d: of_kind(d, "Namespace")["metadata"].pop("labels"),
    "everything lives in the one namespace": lambda d: of_kind(d, "Service")["metadata"].pop("namespace"),
}


def check(root: pathlib.Path, report: Report) -> None:
    whole = manifests.render(root / "deploy")
    known = set(manifests.promises(whole))
    report.result("each promise is broken once on purpose", sorted(known ^ set(BREAKS)))
    for promise, damage in BREAKS.items():
        broken = copy.deepcopy(whole)
        damage(broken)
        report.result(f"noticed when broken: {promise}", [] if manifests.promises(broken)[promise] else ["no"])
    report.result("noticed: a misspelt field", misspelt(whole))
    report.result("noticed: a misspelt field of an alert rule", misspelt_rule(root))
    report.result("noticed: a capability or a host path without its comment", commentless(root))


def misspelt(whole: list[dict]) -> list[str]:
    broken = copy.deepcopy(whole)
    agent(broken)["securityContext"]["readOnlyRootFileSystem"] = True
    return [] if manifests.invalid(of_kind(broken, "DaemonSet")) else ["readOnlyRootFileSystem was accepted"]


def misspelt_rule(root: pathlib.Path) -> list[str]:
    rule = of_kind(manifests.render(root / "deploy" / "alerts"), "PrometheusRule")
    rule["spec"]["groups"][0]["rules"][0]["fo"] = "1m"
    return [] if manifests.invalid_custom(rule) else ["`fo: 1m` was accepted"]


def commentless(root: pathlib.Path) -> list[str]:
    source = (root / "deploy" / "daemonset.yaml").read_text()
    bare = "\n".join(line for line in source.splitlines() if not line.lstrip().startswith("#"))
    faults = []
    for name, pattern, count in (
        ("capabilities", manifests.CAPABILITY, len(manifests.CAPABILITIES)),
        ("host paths", manifests.HOST_PATH,
         len(manifests.WRITABLE_HOST_PATHS | manifests.READ_ONLY_HOST_PATHS)),
    ):
        noticed = len(manifests.uncommented(bare, pattern))
        if noticed != count:
            faults.append(f"{name}: {noticed} of {count} noticed")
    return faults

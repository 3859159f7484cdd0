"""The rendered manifests: valid for the API server, and as narrow as the design promises."""

import json
import pathlib
import re
import subprocess

import jsonschema
import kubernetes_validate
import yaml

from report import Report

KUBERNETES = "1.36"

# What the agent asks of a node, and nothing beside it. A change here is a change of the threat model.
CAPABILITIES = {"BPF", "PERFMON", "NET_ADMIN", "SYS_PTRACE", "DAC_READ_SEARCH", "MAC_ADMIN"}
WRITABLE_HOST_PATHS = {
    "/sys/fs/bpf",
    "/sys/fs/cgroup",
    "/sys/kernel/security",
    "/var/lib/bulkhead",
    "/var/lib/kubelet/seccomp",
    "/run/bulkhead",
}
READ_ONLY_HOST_PATHS = {
    "/var/run/nri",
    "/run/dbus",
    "/run/containerd/io.containerd.runtime.v2.task",
    "/var/lib/containers/storage/overlay-containers",
    "/run/runc",
    "/run/crun",
}


def render(folder: pathlib.Path) -> list[dict]:
    """The objects that `kubectl apply -k` would send."""
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"kubectl kustomize {folder}: {done.stderr.strip()}")
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def check(root: pathlib.Path, report: Report) -> None:
    base = render(root / "deploy")
    alerts = render(root / "deploy" / "alerts")
    for document in base:
        report.result(f"{title(document)} is valid for Kubernetes {KUBERNETES}, strictly", invalid(document))
    for document in alerts:
        report.result(f"{title(document)} is valid by its schema", invalid_custom(document))
    for promise, faults in promises(base).items():
        report.result(promise, faults)
    source = (root / "deploy" / "daemonset.yaml").read_text()
    report.result("every capability stands below a comment that says why", uncommented(source, CAPABILITY))
    report.result("every host path stands below a comment that says why", uncommented(source, HOST_PATH))


def title(document: dict) -> str:
    return f"{document['kind']}/{document['metadata']['name']}"


def invalid(document: dict) -> list[str]:
    """Faults of a built-in kind against the API server's own schema; unknown fields are faults."""
    try:
        against = kubernetes_validate.validate(document, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{'.'.join(str(step) for step in error.path)}: {error.message}"]
    # The library falls back to an older schema without a word when it lacks the one asked for.
    return [] if against == KUBERNETES else [f"was checked against {against}"]


def invalid_custom(document: dict) -> list[str]:
    """Faults of a kind that the Prometheus operator brings."""
    path = pathlib.Path(__file__).parent / "schemas" / f"{document['kind'].lower()}.json"
    validator = jsonschema.Draft202012Validator(json.loads(path.read_text()))
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


def promises(documents: list[dict]) -> dict[str, list[str]]:
    """Each promise with what breaks it. Only looks, so that mutated manifests can be shown to it."""
    by_kind: dict[str, list[dict]] = {}
    for document in documents:
        by_kind.setdefault(document["kind"], []).append(document)
    daemonset = by_kind["DaemonSet"][0]
    pod = daemonset["spec"]["template"]["spec"]
    containers = [*pod.get("initContainers", []), *pod["containers"]]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    host_paths = {v["hostPath"]["path"]: v["hostPath"] for v in volumes.values() if "hostPath" in v}
    mounts = [(mount, volumes[mount["name"]]) for c in containers for mount in c["volumeMounts"]]
    agent = containers[0]
    labels = daemonset["spec"]["selector"]["matchLabels"]
    network = by_kind["NetworkPolicy"][0]["spec"]
    return {
        "no container is privileged": [
            c["name"] for c in containers if c["securityContext"].get("privileged") is not False
        ],
        "no container can gain privileges": [
            c["name"] for c in containers if c["securityContext"].get("allowPrivilegeEscalation") is not False
        ],
        "every root file system is read-only": [
            c["name"] for c in containers if c["securityContext"].get("readOnlyRootFilesystem") is not True
        ],
        "all capabilities are dropped and only the listed ones added": [
            f"{c['name']}: {c['securityContext']['capabilities']}"
            for c in containers
            if c["securityContext"]["capabilities"].get("drop") != ["ALL"]
            or set(c["securityContext"]["capabilities"].get("add", [])) != CAPABILITIES
        ],
        "seccomp is on": [
            str(context.get("seccompProfile"))
            for context in [pod["securityContext"]]
            if context.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost")
        ],
        "no API token is mounted, by the pod or its account": [
            title(document)
            for document, holder in [(daemonset, pod), *((a, a) for a in by_kind["ServiceAccount"])]
            if holder.get("automountServiceAccountToken") is not False
        ],
        "nothing is granted in the API": [
            title(d) for d in documents if d["kind"].endswith(("Role", "RoleBinding"))
        ],
        "only the host's process ids are shared, not its network or IPC": [
            key for key, want in (("hostPID", True), ("hostNetwork", False), ("hostIPC", False))
            if pod.get(key, False) is not want
        ],
        "the host paths are the listed ones": sorted(
            set(host_paths) ^ (WRITABLE_HOST_PATHS | READ_ONLY_HOST_PATHS)
        ),
        "every host path says what it must be": [
            path for path, volume in host_paths.items()
            if volume.get("type") not in ("Directory", "DirectoryOrCreate")
        ],
        "only evidence, state, profiles, cgroups and the BPF file system are writable": [
            mount["mountPath"]
            for mount, volume in mounts
            if mount.get("readOnly") is not True
            and volume.get("hostPath", {}).get("path") not in WRITABLE_HOST_PATHS
        ],
        "no directory with a runtime's socket is mounted": [
            path for path in host_paths
            if path in ("/", "/run", "/var/run", "/run/containerd", "/run/crio", "/var/lib/kubelet")
        ],
        "the agent runs on every node, before tenants, one at a time": [
            fault for fault, broken in (
                ("a taint keeps it away", {"operator": "Exists"} not in pod.get("tolerations", [])),
                ("priority", pod.get("priorityClassName") != "system-node-critical"),
                ("two on a node", daemonset["spec"]["updateStrategy"]["rollingUpdate"].get("maxSurge") != 0),
            ) if broken
        ],
        "the probes ask /healthz and /readyz on the metrics port": [
            probe for probe, path in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"),
                                      ("readinessProbe", "/readyz"))
            if agent.get(probe, {}).get("httpGet") != {"path": path, "port": "metrics"}
        ],
        "the metrics port has one number in pod, service and configuration": port_faults(by_kind, agent),
        "only a named namespace may read the metrics, and nothing leaves": [
            fault for fault, broken in (
                ("no policy for the agent's pods", network["podSelector"] != {"matchLabels": labels}),
                ("egress", "Egress" not in network["policyTypes"] or network.get("egress")),
                ("ingress", "Ingress" not in network["policyTypes"]
                 or any("from" not in rule for rule in network["ingress"])),
            ) if broken
        ],
        "memory is limited and requests are stated": [
            c["name"] for c in containers
            if not {"cpu", "memory"} <= set(c.get("resources", {}).get("requests", {}))
            or "memory" not in c.get("resources", {}).get("limits", {})
        ],
        "the policy is mounted as a directory, so that a change reaches the agent": [
            mount["mountPath"] for mount, volume in mounts if "configMap" in volume and "subPath" in mount
        ],
        "the namespace is labelled for Pod Security": [
            title(n) for n in by_kind["Namespace"]
            if "pod-security.kubernetes.io/enforce" not in n["metadata"].get("labels", {})
        ],
        "everything lives in the one namespace": [
            title(d) for d in documents
            if d["kind"] != "Namespace" and d["metadata"].get("namespace") != "bulkhead-system"
        ],
    }


def port_faults(by_kind: dict[str, list[dict]], agent: dict) -> list[str]:
    pod_port = next(p["containerPort"] for p in agent["ports"] if p["name"] == "metrics")
    service_port = next(p for p in by_kind["Service"][0]["spec"]["ports"] if p["name"] == "metrics")
    config = yaml.safe_load(by_kind["ConfigMap"][0]["data"]["config.yaml"])
    configured = int(config["metrics"]["address"].rsplit(":", 1)[1])
    faults = [] if service_port["targetPort"] == "metrics" else ["the service names another target port"]
    if {pod_port, service_port["port"]} != {configured}:
        faults.append(f"pod {pod_port}, service {service_port['port']}, configuration {configured}")
    return faults


CAPABILITY = re.compile(r"^ +- ([A-Z][A-Z_]+)$")
HOST_PATH = re.compile(r"^ +path: (/(?!healthz$|readyz$).*)$")


def uncommented(source: str, wanted: re.Pattern) -> list[str]:
    """Lines of the written manifest that match and have no comment right above. `drop: ALL` needs none."""
    lines = source.splitlines()
    found = [(n, m[1]) for n, line in enumerate(lines) if (m := wanted.match(line)) and m[1] != "ALL"]
    faults = [f"line {n + 1}: {name}" for n, name in found if not lines[n - 1].lstrip().startswith("# ")]
    return faults if found else ["nothing found to look at"]

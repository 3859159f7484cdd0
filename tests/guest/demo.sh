#!/bin/sh
# The main job, shown on a guest node: two tenants' containers, breakouts from one against the other
# and against the node, first without the agent, then with it. `./dev run` starts it there.
#
# Every act is harmless where it goes through. Exits with 1 if one went through that should not have.
set -eu

address=127.0.0.1:9631
state=/var/lib/bulkhead
evidence=$state/evidence/current.jsonl
open=0

heading() { printf '\n== %s\n' "$*"; }
say() { printf '   %s\n' "$*"; }

# Starts a pod with one container; prints its id and pid.
pod() {
    namespace=$1 name=$2 runtime=$3
    shift 3
    bulkhead-cri run --namespace "$namespace" --pod "$name" --runtime "$runtime" "$@" -- sleep 100000 |
        jq -r '.container + " " + (.pid | tostring)'
}

# Types a line in the attacker's container and shows what it says, in one line of bounded length.
try() {
    said=$(bulkhead-cri exec "$attacker" -- sh -c "$1" 2>&1) && status=0 || status=$?
    said=$(printf '%s' "$said" | tr '\0\n' '  ' | cut -c1-60)
    if [ "$status" = 0 ]; then result="went through"; else result=BLOCKED; fi
    printf '   %-13s %-44s %s\n' "$result" "$1" "${said:+-> $said}"
}

# The breakouts: across tenants, to the node, to the kernel.
try_all() {
    for act in \
        "tr '\\0' '\\n' < /proc/$victim_pid/environ | grep PASS" \
        "ls /proc/$victim_pid/root/root" \
        "kill -URG $victim_pid" \
        "nsenter -t $victim_pid -n true" \
        "head -c 8 /proc/1/environ" \
        "nsenter -t 1 -m true" \
        "kill -URG 1" \
        "mkdir -p /tmp/m; mount -t cgroup2 x /tmp/m" \
        "unshare -U true" \
        ": > /proc/sys/kernel/core_pattern" \
        "head -c 1 /dev/nvme0n1"; do
        try "$act"
        [ "$status" != 0 ] || open=$((open + 1))
    done
}

stop_agent() {
    kill "$agent"
    wait "$agent" || say "the agent ended with $?"
}

heading "A node, and two tenants who do not know each other"
say "kernel $(uname -r), $(start-containerd 2>&1 | sed 's/start-containerd: //'), runc and crun"
victim=$(pod bank ledger crun --env DB_PASSWORD=hunter2)
victim_pid=${victim#* } victim=${victim% *}
attacker=$(pod shop web runc --privileged --host-pid)
attacker=${attacker% *}
say "bank/ledger on crun: pid $victim_pid, with a password in its environment"
say "shop/web on runc: privileged, hostPID: as much as a careless manifest can give away"

heading "Without Bulkhead: what an intruder in shop/web can do"
try_all
say "$open of these went through."

heading "The policy"
mkdir -p /etc/bulkhead
cat > /etc/bulkhead/config.yaml <<'YAML'
tenants:
  - name: shop
    level: untrusted
    namespaces: [shop]
  - name: bank
    level: semi-trusted
    namespaces: [bank]
YAML
sed 's/^/   /' /etc/bulkhead/config.yaml

heading "With Bulkhead: bulkhead run --config /etc/bulkhead/config.yaml"
bulkhead run --config /etc/bulkhead/config.yaml 2> /var/log/bulkhead.log &
agent=$!
tries=0
until busybox wget -q -O /dev/null "http://$address/readyz" 2> /dev/null; do
    tries=$((tries + 1))
    if [ "$tries" -gt 300 ] || ! kill -0 "$agent" 2> /dev/null; then
        say "the agent does not get ready; it said:"
        cat /var/log/bulkhead.log
        exit 1
    fi
    sleep 0.2
done
say "$(jq -r 'select(.subject == "started") | .message' "$evidence" | tail -n 1)"
say "The containers ran before it. Nobody restarts them; the same acts again:"
open=0
try_all

heading "Its own business: the same acts inside one container are nobody's concern"
before=$(wc -l < "$evidence")
own='sleep 100 & p=$!; cat /proc/$p/environ > /dev/null && kill -URG $p && kill $p && echo fine'
say "\$ $own"
say "-> $(bulkhead-cri exec "$victim" -- sh -c "$own")"
sleep 1
say "events: $(($(wc -l < "$evidence") - before))"

heading "The evidence log: $evidence"
jq -r 'def party: if . == null then "the kernel" elif .kind == "file" then .path
        elif .attribution == "host" then "the node (pid \(.process.pid))"
        else "\(.tenant)/\(.pod.name)/\(.container.name) \(.process.comm)[\(.process.pid)]" end;
    select(.kind == "act") |
    "   \(.time[11:19]) \(.effect) \(.rule) \(.severity) \(.relation): \(.actor | party) -> \(.target | party)"' \
    "$evidence" | tail -n 14

heading "The metrics: http://$address/metrics"
busybox wget -q -O - "http://$address/metrics" |
    grep -E '^bulkhead_(verdicts_total|containers|rules|events_lost_total)\{' | sed 's/^/   /'

heading "bulkhead prove --quick: breakouts in throw-away cgroups, and what became of each"
stop_agent
proved=0
bulkhead prove --quick || proved=$?

heading "Done"
if [ "$open" = 0 ]; then
    say "Nothing went through that the policy refuses."
else
    say "$open breakouts went through although the policy refuses them: bulkhead doctor says why."
fi
[ "$open" = 0 ] && [ "$proved" = 0 ]

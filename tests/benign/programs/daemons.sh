# What an old-fashioned machine runs: a login by ssh, a rotation of logs, a job by cron, a package
# installed that has a program with the SUID bit.
. "${0%/*}/lib.sh"

mkdir -p /run/sshd
[ -e /etc/ssh/ssh_host_ed25519_key ] || ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key
ssh-keygen -q -t ed25519 -N "" -f "$work/key"
/usr/sbin/sshd -p 2222 -o HostKey=/etc/ssh/ssh_host_ed25519_key -o PidFile="$work/sshd.pid" \
    -o AuthorizedKeysFile="$work/key.pub" -o StrictModes=no
login() {
    ssh -p 2222 -i "$work/key" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR \
        root@127.0.0.1 "$@"
}
await nc -z 127.0.0.1 2222
# The rest is tried where nobody may log in, too.
entered=$(login 'echo "logged in"' 2>&1) || true
kill "$(cat "$work/sshd.pid")"

mkdir "$work/logs"
echo "a line" > "$work/logs/service.log"
printf '%s/logs/*.log {\n  rotate 2\n  copytruncate\n  compress\n}\n' "$work" > "$work/rotate"
chmod 644 "$work/rotate"
logrotate --force --state "$work/state" "$work/rotate"
[ -s "$work/logs/service.log.1.gz" ] && [ ! -s "$work/logs/service.log" ] || fail "nothing was rotated"

printf '@reboot root echo "a job ran" > %s/job\n' "$work" > /etc/cron.d/job
cron
await grep -q "a job ran" "$work/job"
pkill -x cron

dpkg --install /opt/programs/tool.deb > "$work/dpkg" 2>&1 || fail "$(cat "$work/dpkg")"
[ -u /usr/bin/suid-tool ] || fail "the tool has no SUID bit"
dpkg --purge tool > /dev/null 2>&1
[ "$entered" = "logged in" ] || fail "nobody may log in: $entered"

# HAProxy in a chroot with its log at an abstract socket, handing its listeners over at a reload;
# memcached behind it.
. "${0%/*}/lib.sh"

memcached -u nobody -l 127.0.0.1 -p 11211 -m 16 &
cache=$!
mkdir "$work/empty"
cat > "$work/haproxy.cfg" <<CFG
global
    user haproxy
    group haproxy
    chroot $work/empty
    stats socket abns@haproxy-stats level admin expose-fd listeners
defaults
    mode tcp
    timeout connect 5s
    timeout client 20s
    timeout server 20s
listen cache
    bind 127.0.0.1:11300
    server one 127.0.0.1:11211
CFG
haproxy -W -D -f "$work/haproxy.cfg" -p "$work/haproxy.pid"
ask() { printf 'set k 0 0 5\r\nhello\r\nget k\r\nquit\r\n' | nc -w 10 127.0.0.1 11300; }
serving=haproxy
await ask
serving=
prints hello ask
kill -USR2 "$(cat "$work/haproxy.pid")"
prints hello ask
kill -TERM "$(cat "$work/haproxy.pid")" "$cache"
await gone haproxy
await gone memcached

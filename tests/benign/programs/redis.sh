# Redis: save by a forked child, write the configuration, load everything again.
. "${0%/*}/lib.sh"

printf 'bind 127.0.0.1\ndir %s\ndaemonize yes\nenable-debug-command local\n' "$work" > "$work/redis.conf"
redis-server "$work/redis.conf" > /dev/null
await redis-cli ping
prints OK redis-cli set key value
prints "Background saving started" redis-cli bgsave
saved() { redis-cli info persistence | grep -q "rdb_bgsave_in_progress:0"; }
await saved
prints "rdb_last_bgsave_status:ok" redis-cli info persistence
prints OK redis-cli config set maxmemory-policy allkeys-lru
prints OK redis-cli config rewrite
prints OK redis-cli debug reload
prints value redis-cli get key
redis-cli shutdown
await gone redis-server
grep -q allkeys-lru "$work/redis.conf"

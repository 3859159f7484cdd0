# PostgreSQL: a new cluster, a load of transactions by several clients, a restart.
. "${0%/*}/lib.sh"

export PATH="/usr/lib/postgresql/17/bin:$PATH" PGHOST=/tmp PGUSER=postgres
chown postgres:postgres "$work"
server() { as postgres pg_ctl -D "$work/data" -l "$work/log" -o "-k /tmp" -w -t 120 "$@"; }

as postgres initdb --no-sync --auth=trust -D "$work/data" > /dev/null
server start > /dev/null
as postgres pgbench --initialize --init-steps=dtGp --quiet postgres 2> /dev/null
prints "number of failed transactions: 0" as postgres pgbench --client 3 --transactions 5 postgres
server restart -m fast > /dev/null
prints 100000 as postgres psql -tAc "select count(*) from pgbench_accounts" postgres
server stop > /dev/null
await gone postgres

# PostgreSQL: a new cluster, a load of transactions by several clients, a restart.
. "${0%/*}/lib.sh"

export PATH="/usr/lib/postgresql/17/bin:$PATH" PGHOST=/tmp PGUSER=postgres
chown postgres:postgres "$work"
server() { as postgres pg_ctl -D "$work/data" -l "$work/log" -o "-k /tmp" -w -t 120 "$@"; }

as postgres initdb --no-sync --auth=trust -D "$work/data" > /dev/null
server start > /dev/null
as postgres psql -qc "create table goods as select n, n % 7 as kind from generate_series(1, 1000) n" postgres
echo "update goods set kind = kind + 1 where n = (random() * 999)::int + 1;" > "$work/load.sql"
prints "number of failed transactions: 0" as postgres \
    pgbench --no-vacuum --client 3 --transactions 5 --file="$work/load.sql" postgres
server restart -m fast > /dev/null
prints 1000 as postgres psql -tAc "select count(*) from goods" postgres
server stop > /dev/null
await gone postgres

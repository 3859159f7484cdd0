# MariaDB: a new database, asynchronous writes, tables filled and read.
. "${0%/*}/lib.sh"

chown mysql:mysql "$work"
mariadb-install-db --user=mysql --datadir="$work/data" --skip-test-db --auth-root-authentication-method=normal \
    > "$work/install" 2>&1 || fail "$(cat "$work/install")"
mariadbd --no-defaults --user=mysql --datadir="$work/data" --socket="$work/socket" --pid-file="$work/pid" \
    --skip-networking > "$work/log" 2>&1 &
client() { mariadb --no-defaults --socket="$work/socket" --user=root "$@"; }
await client -e "select 1"
client -e "create database shop; create table shop.goods (id int primary key, name varchar(20));
    use shop; insert into shop.goods select seq, concat('thing ', seq) from seq_1_to_1000"
prints 1000 client -e "select count(*) from shop.goods"
mariadb-admin --no-defaults --socket="$work/socket" --user=root shutdown
await gone mariadbd

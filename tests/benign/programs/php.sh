# PHP: FastCGI workers with the JIT, exchanged by a reload.
. "${0%/*}/lib.sh"

cat > "$work/page.php" <<'PHP'
<?php
function fibonacci($n) { return $n < 2 ? $n : fibonacci($n - 1) + fibonacci($n - 2); }
echo "sum ", fibonacci(18), " jit ", var_export(opcache_get_status()["jit"]["on"], true), "\n";
PHP
mkdir -p /run/php
php-fpm8.4 --daemonize -d opcache.jit=tracing -d opcache.jit_buffer_size=8M
page() {
    SCRIPT_FILENAME="$work/page.php" REQUEST_METHOD=GET cgi-fcgi -bind -connect /run/php/php8.4-fpm.sock
}
await page
prints "sum 2584 jit true" page
kill -USR2 "$(cat /run/php/php8.4-fpm.pid)"
await page
prints "sum 2584" page
kill -QUIT "$(cat /run/php/php8.4-fpm.pid)"
await gone php-fpm8.4

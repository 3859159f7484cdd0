# Apache: serve, take a new configuration gracefully, stop.
. "${0%/*}/lib.sh"

echo "ServerName localhost" > /etc/apache2/conf-enabled/name.conf
echo "a page of Apache" > /var/www/html/page.html
apache2ctl start
await curl -fs http://127.0.0.1/page.html
apache2ctl graceful
prints "a page of Apache" curl -fs http://127.0.0.1/page.html
apache2ctl stop
await gone apache2

# nginx: serve pages under load, read the configuration again five times, end when all is served.
. "${0%/*}/lib.sh"

echo "a page of nginx" > /var/www/html/page.html
nginx
await curl -fs http://127.0.0.1/page.html
for _ in 1 2 3 4 5; do
    nginx -s reload
    prints "a page of nginx" curl -fs http://127.0.0.1/page.html
done
(for _ in 1 2 3 4 5; do curl -fs http://127.0.0.1/page.html > /dev/null || exit 1; done) &
load=$!
prints "a page of nginx" curl -fs http://127.0.0.1/page.html
wait "$load"
prints "GET /page.html HTTP/1.1" tail -n 3 /var/log/nginx/access.log
nginx -s quit
await gone nginx

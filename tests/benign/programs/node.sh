# Node.js: a worker behind the port of its cluster, which dies and is replaced.
. "${0%/*}/lib.sh"

cat > "$work/server.js" <<'JS'
const cluster = require("node:cluster");
if (cluster.isPrimary) {
  cluster.fork();
  let ending = false;
  cluster.on("exit", () => ending || cluster.fork());
  process.on("SIGTERM", () => {
    ending = true;
    cluster.disconnect(() => process.exit(0));
  });
} else {
  const hot = (n) => (n < 2 ? n : hot(n - 1) + hot(n - 2));
  require("node:http")
    .createServer((request, response) => {
      response.end(`worker ${process.pid}: ${hot(18)}\n`);
      if (request.url === "/die") setTimeout(() => process.exit(1), 10);
    })
    .listen(3000, "127.0.0.1");
}
JS
node "$work/server.js" 2> "$work/log" &
server=$!
await curl -fs http://127.0.0.1:3000/
prints 2584 curl -fs http://127.0.0.1:3000/die
await curl -fs http://127.0.0.1:3000/
prints 2584 curl -fs http://127.0.0.1:3000/
kill "$server"
wait "$server"
await gone node

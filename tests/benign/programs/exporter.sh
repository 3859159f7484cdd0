# node-exporter: one scrape of the node's figures.
. "${0%/*}/lib.sh"

prometheus-node-exporter --web.listen-address=127.0.0.1:9100 --collector.processes \
    > "$work/log" 2>&1 &
exporter=$!
await curl -fs http://127.0.0.1:9100/metrics
prints "node_processes_pids" curl -fs http://127.0.0.1:9100/metrics
kill "$exporter"
wait "$exporter" || true

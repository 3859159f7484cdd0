# Python: gunicorn with a worker that is forked before, exchanged by SIGHUP.
. "${0%/*}/lib.sh"

cat > "$work/app.py" <<'PY'
import ctypes, os

def app(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    libc = ctypes.CDLL(None)
    return [f"worker {os.getpid()} {libc.getppid()} well\n".encode()]
PY
cd "$work"
gunicorn --workers 1 --bind 127.0.0.1:8000 --pid "$work/pid" --log-file "$work/log" app:app &
server=$!
await curl -fs http://127.0.0.1:8000/
kill -HUP "$server"
await grep -q "Handling signal: hup" "$work/log"
prints well curl -fs http://127.0.0.1:8000/
kill -TERM "$server"
wait "$server"
grep -q "Shutting down" "$work/log"

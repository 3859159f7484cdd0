# The JVM: compiled code, native libraries unpacked to /tmp, and what one asks a running JVM by.
. "${0%/*}/lib.sh"

java -XX:+UseTransparentHugePages -Xmx128m -jar /opt/programs/service.jar > "$work/log" &
service=$!
await grep -q "ready 832040" "$work/log"
prints '"main"' jcmd "$service" Thread.print
kill -QUIT "$service"
await grep -q "Full thread dump" "$work/log"
kill "$service"
wait "$service" || true
await gone java

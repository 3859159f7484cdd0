# gdb and strace: a child of one's own traced, its memory read and changed.
. "${0%/*}/lib.sh"

strace -f -o "$work/trace" sh -c "true; cat /proc/self/status > /dev/null"
grep -q execve "$work/trace"
sleep 100 &
sleeper=$!
gdb -nx -batch -p "$sleeper" -ex "info proc" > "$work/attached" 2>&1
grep -q "exe = .*sleep" "$work/attached"
kill "$sleeper"

cd "$work"
printf 'int answer = 41;\nint tell(void) { return answer; }\nint main(void) { return tell(); }\n' > main.c
cc -g -O0 -o traced main.c
prints "answer is 41, now 42" gdb -nx -batch -ex "break tell" -ex run \
    -ex 'printf "answer is %d, ", answer' -ex "set var answer = 42" -ex 'printf "now %d\n", answer' \
    -ex continue ./traced

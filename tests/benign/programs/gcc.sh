# A C project: configure, which builds and runs probes, then make with two jobs, then its program.
. "${0%/*}/lib.sh"

cd "$work"
cat > configure <<'SH'
#!/bin/sh
# What autoconf's do: build a small program, run it, note what it said.
echo 'int main(void) { return sizeof(long) == 8 ? 0 : 1; }' > conftest.c
cc -o conftest conftest.c && ./conftest && long=8
printf '#define LONG %s\n' "${long:-4}" > config.h
printf 'all: sum\nsum: main.o add.o\n\tcc -o $@ $^\n%%.o: %%.c config.h\n\tcc -O1 -c $<\n' > Makefile
SH
chmod +x configure
printf '#include <stdio.h>\n#include "config.h"\nint add(int, int);\n%s\n' \
    'int main(void) { printf("%d\n", add(LONG, 34)); return 0; }' > main.c
echo 'int add(int a, int b) { return a + b; }' > add.c
./configure
make -j 2 > /dev/null
prints 42 ./sum

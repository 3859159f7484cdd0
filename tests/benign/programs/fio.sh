# fio: the engines of its own processes, of io_uring, of native asynchronous I/O and of mmap.
. "${0%/*}/lib.sh"

cd "$work"
fio --name=locked --ioengine=psync --size=256k --rw=read --lockmem=64k --minimal > /dev/null
for engine in psync libaio mmap io_uring; do
    fio --name="$engine" --ioengine="$engine" --size=1M --rw=randrw --bs=4k --iodepth=4 --minimal > "$engine.out" 2>&1 ||
        fail "$engine: $(cat "$engine.out")"
done

# bubblewrap: a command in a sandbox of its own, with a root made of binds.
. "${0%/*}/lib.sh"

prints "alone as 1000" bwrap --unshare-user --unshare-pid --unshare-ipc --uid 1000 --ro-bind /usr /usr \
    --symlink usr/lib /lib --symlink usr/lib64 /lib64 --symlink usr/bin /bin --dev-bind /dev /dev \
    --tmpfs /tmp --die-with-parent sh -c 'echo "alone as $(id -u)"'

# What the programs' scripts share. A script begins with `. "${0%/*}/lib.sh"`, and ends well only if
# every step of it did.
set -eu

work=$(mktemp -d)
# Daemons that have dropped to a user of their own must reach what is in it.
chmod 755 "$work"

# Asks again until the command succeeds; gives up after two minutes, or at once where $serving names a
# program that has ended.
serving=
await() {
    patience=$(($(date +%s) + 120))
    until "$@" > /dev/null 2>&1; do
        [ -z "$serving" ] || ! gone "$serving" || fail "$serving has ended"
        [ "$(date +%s)" -lt "$patience" ] || fail "still not so: $*"
        sleep 0.2
    done
}

# Ends the script with a reason.
fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# What the command prints must hold the text.
prints() {
    text=$1
    shift
    said=$("$@" 2>&1) || fail "$* ended with $?: $said"
    case $said in
        *"$text"*) ;;
        *) fail "$* printed no \"$text\": $said" ;;
    esac
}

# The processes of this name have ended. The container's first process may be one that does not bury
# the dead: zombies do not count.
gone() { ! pgrep --runstates D,R,S,T --exact "$1" > /dev/null; }

# Runs a command as a user, the way images' entry points do.
as() {
    user=$1
    shift
    setpriv --reuid="$user" --regid="$user" --clear-groups -- "$@"
}

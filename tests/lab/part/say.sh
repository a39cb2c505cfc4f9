# shellcheck shell=bash
# Owns what every lab script shares: messages on stderr, digests of recipe files, and getting rid of a work folder.

say() { printf 'lab: %s\n' "$*" >&2; }

fail() {
    say "$*"
    exit 1
}

# step LABEL COMMAND...: runs the command and says how long it took.
step() {
    local label=$1 began=$SECONDS
    shift
    "$@"
    say "$label: $((SECONDS - began)) s"
}

# digest_of PATH...: a short digest of the files in these paths, by their place in the lab and their bytes.
digest_of() {
    local path
    for path in "$@"; do find "$path" -type f -printf '%p\n'; done | LC_ALL=C sort -u |
        while read -r path; do printf '%s %s\n' "${path#"$lab"/}" "$(sha256sum <"$path")"; done |
        sha256sum | cut -c1-12
}

# discard_tree FOLDER: removes it, and first any loop device still attached to a file in it.
discard_tree() {
    local loop file
    [[ -e $1 ]] || return 0
    while read -r loop file; do
        [[ $file == "$1"/* ]] && losetup --detach "$loop"
    done < <(losetup --noheadings --raw --output NAME,BACK-FILE 2>/dev/null)
    rm -rf --one-file-system "$1"
}

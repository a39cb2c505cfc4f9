#!/usr/bin/env bash
# Makes the virtual machine: -rf '"; touch owned; $(touch owned) `touch owned` \ ,x=y: {a: !!b [*c]} <!--\n---\n#\r\t\x1b[2J\u{202e}\u{85}ä日本
#
# Written by vmdk2kvm. It is run on the host of Incus, and starts nothing. STORAGE in the environment names another pool.
# The first disk to start from becomes a volume; the others stay files beside this script, as raw ones.
# What stands in single quotes is a name, whatever it looks like.
# shellcheck disable=SC2016
set -euo pipefail

file='web'
here=${BASH_SOURCE[0]%/*}
[[ $here != "${BASH_SOURCE[0]}" ]] || here=.
# The last letter keeps a line feed at the end of a folder's name.
here=$(CDPATH='' cd -- "$here" && printf '%s/x' "$PWD")
here=${here%/x}

say() {
    printf '%s: %s\n' "$file" "$1" >&2
}

need() {
    command -v -- "$1" >/dev/null || { say "$1 is not installed here"; exit 69; }
}

# Sets `image`. It is looked for beside this script first: the folder may have been moved.
find_image() {
    image=$1
    if [[ -e $here/${image##*/} ]]; then image=$here/${image##*/}; fi
    if [[ ! -e $image ]]; then
        say "$image is missing"
        exit 65
    fi
}

name='rf-touch-owned-touch-owned-touch-owned-x-y-a-b-c-2j'
alias=vmdk2kvm-$name
need incus
need qemu-img
need tar
STORAGE=${STORAGE:-'default'}
if incus info -- "$name" >/dev/null 2>&1 || incus image info -- "$alias" >/dev/null 2>&1; then
    say "there is an instance $name or an image $alias already: this script replaces nothing"
    exit 73
fi

work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT

# Makes the instance of the image $1, which is of the format $2. What follows are properties of its root volume.
root() {
    find_image "$1"
    if [[ $2 != qcow2 ]]; then
        qemu-img convert -f "$2" -O qcow2 "$image" "$work/disk.qcow2"
        image=$work/disk.qcow2
    fi
    cp -- "$here/$file.incus.metadata.yaml" "$work/metadata.yaml"
    tar -C "$work" -cf "$work/metadata.tar" metadata.yaml
    incus image import "$work/metadata.tar" "$image" --alias "$alias"
    incus init "$alias" "$name" --vm --no-profiles --storage "$STORAGE" <"$here/$file.incus.yaml"
    incus config device set "$name" root "${@:3}"
    # Its content is in the root volume now.
    incus image delete "$alias"
}

# Adds the disk $1, the image $2 of the format $3, on the bus $4 with the boot priority $5. Incus reads raw files alone.
disk() {
    find_image "$2"
    if [[ $3 != raw ]]; then
        local raw=$here/$file-$1.incus.raw
        if [[ -e $raw ]]; then
            say "$raw exists already"
            exit 73
        fi
        qemu-img convert -f "$3" -O raw "$image" "$raw"
        image=$raw
    fi
    incus config device add "$name" "$1" disk "source=$image" "io.bus=$4" "boot.priority=$5"
}

root '/out/web-disk1.qcow2' 'qcow2' 'size=1073741824B' 'io.bus=virtio-blk' 'boot.priority=1'
say "the instance $name is made, and off: incus start $name"

need incus
need qemu-img
need tar
STORAGE=${STORAGE:-@STORAGE@}
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

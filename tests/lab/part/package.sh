# shellcheck shell=bash
# Owns the packagings of a finished raw disk: monolithicSparse, a snapshot chain, streamOptimized, each with its VMX, each
# compared with the raw disk before it counts.

: "${lab:?}" "${name:?}"

# package FOLDER PACKAGINGS: from FOLDER/disk.raw into FOLDER/sparse, FOLDER/chain, FOLDER/stream, as many as named. A guest of
# several disks (FOLDER/disk2.raw...) has no chain.
package() {
    local stream=''
    # Compressing takes one core and longest.
    if [[ $2 == *stream* ]]; then
        step "stream" package_flat "$1" stream streamOptimized &
        stream=$!
    fi
    if [[ $2 == *sparse* ]]; then step "sparse" package_flat "$1" sparse monolithicSparse; fi
    if [[ $2 == *chain* ]]; then step "chain" package_chain "$1"; fi
    if [[ -n $stream ]]; then wait "$stream"; fi
}

# package_flat FOLDER KIND SUBFORMAT
package_flat() {
    local folder=$1/$2 raw number vmdks=()
    mkdir "$folder"
    for raw in "$1"/disk*.raw; do
        # VMware calls the second disk NAME_1.vmdk.
        number=${#vmdks[@]}
        if ((number == 0)); then vmdks+=("$name.vmdk"); else vmdks+=("${name}_$number.vmdk"); fi
        qemu-img convert -f raw -O vmdk -o "subformat=$3,adapter_type=lsilogic" "$raw" "$folder/${vmdks[number]}"
        same_as_raw "$raw" "$folder/${vmdks[number]}"
    done
    vmx "${vmdks[@]}" >"$folder/$name.vmx"
}

# package_chain FOLDER: a base and two snapshots. part/layers.py says which stripes each layer holds; a layer below the
# one that decides a stripe holds other bytes there, the filesystem's superblock included.
package_chain() {
    local chain=$1/chain layers=$1/layers
    mkdir "$chain" "$layers"
    python3 "$lab/part/layers.py" "$1/disk.raw" "$layers"
    (
        cd "$chain" || exit
        qemu-img convert -f raw -O vmdk -o subformat=monolithicSparse,adapter_type=lsilogic "$layers/base.raw" "$name.vmdk"
        add_snapshot "$name.vmdk" "$name-000001.vmdk" "$layers/1.qemu-io"
        add_snapshot "$name-000001.vmdk" "$name-000002.vmdk" "$layers/2.qemu-io"
    )
    rm -r "$layers"
    vmx "$name-000002.vmdk" >"$chain/$name.vmx"
    same_as_raw "$1/disk.raw" "$chain/$name-000002.vmdk"
    local below
    for below in "$name.vmdk" "$name-000001.vmdk"; do
        if qemu-img compare -q -f raw -F vmdk "$1/disk.raw" "$chain/$below"; then
            fail "$below alone equals disk.raw: the chain proves nothing"
        fi
    done
}

# add_snapshot PARENT CHILD QEMU-IO-COMMANDS
add_snapshot() {
    local said
    qemu-img create -q -f vmdk -o adapter_type=lsilogic -b "$1" -F vmdk "$2"
    # qemu-io exits with 0 when a command fails, but says so; a write that worked says nothing.
    said=$(qemu-io -f vmdk "$2" <"$3" 2>&1 | sed 's/qemu-io> //g')
    [[ -z ${said//[[:space:]]/} ]] || fail "writing $2: $said"
}

# same_as_raw RAW VMDK
same_as_raw() {
    qemu-img compare -q -f raw -F vmdk "$1" "$2" || fail "$2 differs from $1"
}

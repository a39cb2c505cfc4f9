#!/usr/bin/env bash
# Makes the virtual machine: Web server
#
# Written by vmdk2kvm. It is run as root on a node of Proxmox VE, where the images are, and starts nothing. These variables change what is made:
#   VMID      its number; unless told the next free one
#   STORAGE   where volumes lie that the job names no storage for; unless told local-lvm
#   BRIDGE    what cards are on that the job names no bridge for; unless told vmbr0
# The images are copied: there must be space for both.
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

need qm
need pvesh
STORAGE=${STORAGE:-local-lvm}
BRIDGE=${BRIDGE:-vmbr0}
VMID=${VMID:-$(pvesh get /cluster/nextid)}
if [[ ! $VMID =~ ^[1-9][0-9]*$ || ! $STORAGE =~ ^[A-Za-z0-9._-]+$ || ! $BRIDGE =~ ^[A-Za-z0-9._-]+$ ]]; then
    say 'VMID must be a number, STORAGE and BRIDGE must be names'
    exit 64
fi
# Asked of the whole cluster: another node may have it.
if ! pvesh get /cluster/nextid --vmid "$VMID" >/dev/null; then
    say "$VMID is not free: choose another number with VMID=..."
    exit 73
fi

# Adds the key $1: a volume of the storage $2, made of the image $3 when there is one, with the properties $4.
volume() {
    local from=''
    if [[ -n $3 ]]; then
        find_image "$3"
        # There is no way to quote them.
        if [[ $image == *[,$'\n']* ]]; then
            say "$image: Proxmox VE takes no path with a comma or a line feed: move the folder"
            exit 65
        fi
        from=,import-from=$image
    fi
    words+=("--$1" "$2:0$from,$4")
}

words=(--description 'Web server')
words+=(--name 'web-server')
words+=(--ostype 'l26')
words+=(--machine 'q35')
words+=(--bios 'seabios')
words+=(--sockets '2')
words+=(--cores '2')
words+=(--cpu 'x86-64-v2-AES')
words+=(--memory '2048')
words+=(--localtime '0')
words+=(--vga 'std')
words+=(--onboot '0')
words+=(--serial0 'socket')
words+=(--agent '1')
words+=(--rng0 'source=/dev/urandom')
words+=(--smbios1 'uuid=564d1234-5678-9abc-def0-123456789abc')
words+=(--scsihw 'virtio-scsi-single')
volume virtio0 "$STORAGE" '/out/web-disk1.qcow2' 'discard=on,iothread=1,serial=disk1'
volume virtio1 "$STORAGE" '/out/web-disk2.qcow2' 'discard=on,iothread=1,serial=disk2'
words+=(--boot 'order=virtio1;virtio0')
words+=(--sata0 'none,media=cdrom')
words+=(--net0 'virtio=52:54:00:12:34:01,bridge='"$BRIDGE")
qm create "$VMID" "${words[@]}"
say "the machine $VMID is made, and off: qm start $VMID"

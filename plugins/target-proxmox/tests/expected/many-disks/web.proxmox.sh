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
volume scsi0 "$STORAGE" '/out/web-disk1.qcow2' 'discard=on,iothread=1,serial=disk1'
volume scsi1 "$STORAGE" '/out/web-disk2.qcow2' 'discard=on,iothread=1,serial=disk2'
volume scsi2 "$STORAGE" '/out/web-disk3.qcow2' 'discard=on,iothread=1,serial=disk3'
volume scsi3 "$STORAGE" '/out/web-disk4.qcow2' 'discard=on,iothread=1,serial=disk4'
volume scsi4 "$STORAGE" '/out/web-disk5.qcow2' 'discard=on,iothread=1,serial=disk5'
volume scsi5 "$STORAGE" '/out/web-disk6.qcow2' 'discard=on,iothread=1,serial=disk6'
volume scsi6 "$STORAGE" '/out/web-disk7.qcow2' 'discard=on,iothread=1,serial=disk7'
volume scsi7 "$STORAGE" '/out/web-disk8.qcow2' 'discard=on,iothread=1,serial=disk8'
volume scsi8 "$STORAGE" '/out/web-disk9.qcow2' 'discard=on,iothread=1,serial=disk9'
volume scsi9 "$STORAGE" '/out/web-disk10.qcow2' 'discard=on,iothread=1,serial=disk10'
volume scsi10 "$STORAGE" '/out/web-disk11.qcow2' 'discard=on,iothread=1,serial=disk11'
volume scsi11 "$STORAGE" '/out/web-disk12.qcow2' 'discard=on,iothread=1,serial=disk12'
volume scsi12 "$STORAGE" '/out/web-disk13.qcow2' 'discard=on,iothread=1,serial=disk13'
volume scsi13 "$STORAGE" '/out/web-disk14.qcow2' 'discard=on,iothread=1,serial=disk14'
volume scsi14 "$STORAGE" '/out/web-disk15.qcow2' 'discard=on,iothread=1,serial=disk15'
volume scsi15 "$STORAGE" '/out/web-disk16.qcow2' 'discard=on,iothread=1,serial=disk16'
volume scsi16 "$STORAGE" '/out/web-disk17.qcow2' 'discard=on,iothread=1,serial=disk17'
volume scsi17 "$STORAGE" '/out/web-disk18.qcow2' 'discard=on,iothread=1,serial=disk18'
volume scsi18 "$STORAGE" '/out/web-disk19.qcow2' 'discard=on,iothread=1,serial=disk19'
volume scsi19 "$STORAGE" '/out/web-disk20.qcow2' 'discard=on,iothread=1,serial=disk20'
volume scsi20 "$STORAGE" '/out/web-disk21.qcow2' 'discard=on,iothread=1,serial=disk21'
volume scsi21 "$STORAGE" '/out/web-disk22.qcow2' 'discard=on,iothread=1,serial=disk22'
volume scsi22 "$STORAGE" '/out/web-disk23.qcow2' 'discard=on,iothread=1,serial=disk23'
volume scsi23 "$STORAGE" '/out/web-disk24.qcow2' 'discard=on,iothread=1,serial=disk24'
words+=(--boot 'order=scsi0;scsi1;scsi2;scsi3;scsi4;scsi5;scsi6;scsi7;scsi8;scsi9;scsi10;scsi11;scsi12;scsi13;scsi14;scsi15;scsi16;scsi17;scsi18;scsi19;scsi20;scsi21;scsi22;scsi23')
words+=(--sata0 'none,media=cdrom')
words+=(--net0 'virtio=52:54:00:12:34:01,bridge='"$BRIDGE")
qm create "$VMID" "${words[@]}"
say "the machine $VMID is made, and off: qm start $VMID"

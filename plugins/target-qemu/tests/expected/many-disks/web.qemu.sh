#!/usr/bin/env bash
# Starts the virtual machine: Web server
#
# Written by vmdk2kvm for qemu 7.0 and newer. Arguments are handed to qemu; these variables change what is started:
#   QEMU           the program, qemu-system-x86_64 unless told
#   QEMU_ACCEL     kvm or tcg; unless told kvm where it can be used
#   QEMU_DISPLAY   as for -display; unless told a window where there is a screen, else none
#   QEMU_SERIAL    as for -serial; unless told this terminal (Ctrl-A x ends the machine)
#   QEMU_NETDEV    as for -netdev, without an id; unless told user, which reaches out and cannot be reached
#   QEMU_CODE, QEMU_VARS   a UEFI and the template of its variables
# What stands in single quotes is a name, whatever it looks like; and qemu's lists have commas.
# shellcheck disable=SC2016,SC2054
set -euo pipefail

file='web'
here=${BASH_SOURCE[0]%/*}
[[ $here != "${BASH_SOURCE[0]}" ]] || here=.
qemu=${QEMU:-qemu-system-x86_64}
display=${QEMU_DISPLAY:-}
# shellcheck disable=SC2034  # a machine may have no card
netdev=${QEMU_NETDEV:-user}

say() {
    printf '%s: %s\n' "$file" "$1" >&2
}

if ! command -v -- "$qemu" >/dev/null; then
    say "$qemu is not installed: install the package qemu-system-x86 (qemu-kvm on Fedora)"
    exit 69
fi
if [[ -n ${QEMU_ACCEL:-} ]]; then
    accel=$QEMU_ACCEL
elif [[ -r /dev/kvm && -w /dev/kvm ]]; then
    accel=kvm
else
    accel=tcg
    say 'KVM cannot be used here (is this user allowed to open /dev/kvm?): the processor is emulated, which is slow'
fi
# The command below uses it.
# shellcheck disable=SC2034
if [[ $accel == kvm* ]]; then cpu=host; else cpu=max; fi
if [[ -z $display && -z ${DISPLAY:-}${WAYLAND_DISPLAY:-} ]]; then
    display=none
    say 'there is no screen for a window: start with QEMU_DISPLAY=vnc=127.0.0.1:0 to reach the machine by VNC'
fi

# An image is looked for beside this script first: the folder may have been moved.
disk() {
    local node=$1 format=$2 image=$3 driver=file
    if [[ -e $here/${image##*/} ]]; then image=$here/${image##*/}; fi
    if [[ ! -e $image ]]; then
        say "$image is missing"
        exit 65
    fi
    if [[ -b $image ]]; then driver=host_device; fi
    words+=(-blockdev "driver=$format,node-name=$node,discard=unmap,file.driver=$driver,file.discard=unmap,file.filename=${image//,/,,}")
}

words=(-name 'guest=Web server' -nodefaults -no-user-config)
words+=(-machine q35,smm=off -accel "$accel")
words+=(-cpu "$cpu")
words+=(-smp 4,sockets=2,cores=2,threads=1 -m 2048M)
words+=(-rtc base=utc,driftfix=slew)
words+=(-uuid 564d1234-5678-9abc-def0-123456789abc)
disk disk0 qcow2 '/out/web-disk1.qcow2'
words+=(-device virtio-scsi-pci,id=scsi)
words+=(-device scsi-hd,bus=scsi.0,channel=0,scsi-id=0,lun=0,drive=disk0,serial=disk1,bootindex=1)
disk disk1 qcow2 '/out/web-disk2.qcow2'
words+=(-device scsi-hd,bus=scsi.0,channel=0,scsi-id=1,lun=0,drive=disk1,serial=disk2,bootindex=2)
disk disk2 qcow2 '/out/web-disk3.qcow2'
words+=(-device scsi-hd,bus=scsi.0,channel=0,scsi-id=2,lun=0,drive=disk2,serial=disk3,bootindex=3)
disk disk3 qcow2 '/out/web-disk4.qcow2'
words+=(-device scsi-hd,bus=scsi.0,channel=0,scsi-id=3,lun=0,drive=disk3,serial=disk4,bootindex=4)
disk disk4 qcow2 '/out/web-disk5.qcow2'
words+=(-device scsi-hd,bus=scsi.0,channel=0,scsi-id=4,lun=0,drive=disk4,serial=disk5,bootindex=5)
disk disk5 qcow2 '/out/web-disk6.qcow2'
words+=(-device scsi-hd,bus=scsi.0,channel=0,scsi-id=5,lun=0,drive=disk5,serial=disk6,bootindex=6)
disk disk6 qcow2 '/out/web-disk7.qcow2'
words+=(-device scsi-hd,bus=scsi.0,channel=0,scsi-id=6,lun=0,drive=disk6,serial=disk7,bootindex=7)
disk disk7 qcow2 '/out/web-disk8.qcow2'
words+=(-device scsi-hd,bus=scsi.0,channel=0,scsi-id=7,lun=0,drive=disk7,serial=disk8,bootindex=8)
disk disk8 qcow2 '/out/web-disk9.qcow2'
words+=(-device scsi-hd,bus=scsi.0,channel=0,scsi-id=8,lun=0,drive=disk8,serial=disk9,bootindex=9)
disk disk9 qcow2 '/out/web-disk10.qcow2'
words+=(-device scsi-hd,bus=scsi.0,channel=0,scsi-id=9,lun=0,drive=disk9,serial=disk10,bootindex=10)
disk disk10 qcow2 '/out/web-disk11.qcow2'
words+=(-device scsi-hd,bus=scsi.0,channel=0,scsi-id=10,lun=0,drive=disk10,serial=disk11,bootindex=11)
disk disk11 qcow2 '/out/web-disk12.qcow2'
words+=(-device scsi-hd,bus=scsi.0,channel=0,scsi-id=11,lun=0,drive=disk11,serial=disk12,bootindex=12)
disk disk12 qcow2 '/out/web-disk13.qcow2'
words+=(-device scsi-hd,bus=scsi.0,channel=0,scsi-id=12,lun=0,drive=disk12,serial=disk13,bootindex=13)
disk disk13 qcow2 '/out/web-disk14.qcow2'
words+=(-device scsi-hd,bus=scsi.0,channel=0,scsi-id=13,lun=0,drive=disk13,serial=disk14,bootindex=14)
disk disk14 qcow2 '/out/web-disk15.qcow2'
words+=(-device scsi-hd,bus=scsi.0,channel=0,scsi-id=14,lun=0,drive=disk14,serial=disk15,bootindex=15)
disk disk15 qcow2 '/out/web-disk16.qcow2'
words+=(-device scsi-hd,bus=scsi.0,channel=0,scsi-id=15,lun=0,drive=disk15,serial=disk16,bootindex=16)
disk disk16 qcow2 '/out/web-disk17.qcow2'
words+=(-device scsi-hd,bus=scsi.0,channel=0,scsi-id=16,lun=0,drive=disk16,serial=disk17,bootindex=17)
disk disk17 qcow2 '/out/web-disk18.qcow2'
words+=(-device scsi-hd,bus=scsi.0,channel=0,scsi-id=17,lun=0,drive=disk17,serial=disk18,bootindex=18)
disk disk18 qcow2 '/out/web-disk19.qcow2'
words+=(-device scsi-hd,bus=scsi.0,channel=0,scsi-id=18,lun=0,drive=disk18,serial=disk19,bootindex=19)
disk disk19 qcow2 '/out/web-disk20.qcow2'
words+=(-device scsi-hd,bus=scsi.0,channel=0,scsi-id=19,lun=0,drive=disk19,serial=disk20,bootindex=20)
disk disk20 qcow2 '/out/web-disk21.qcow2'
words+=(-device scsi-hd,bus=scsi.0,channel=0,scsi-id=20,lun=0,drive=disk20,serial=disk21,bootindex=21)
disk disk21 qcow2 '/out/web-disk22.qcow2'
words+=(-device scsi-hd,bus=scsi.0,channel=0,scsi-id=21,lun=0,drive=disk21,serial=disk22,bootindex=22)
disk disk22 qcow2 '/out/web-disk23.qcow2'
words+=(-device scsi-hd,bus=scsi.0,channel=0,scsi-id=22,lun=0,drive=disk22,serial=disk23,bootindex=23)
disk disk23 qcow2 '/out/web-disk24.qcow2'
words+=(-device scsi-hd,bus=scsi.0,channel=0,scsi-id=23,lun=0,drive=disk23,serial=disk24,bootindex=24)
words+=(-device ide-cd,bus=ide.0)
words+=(-netdev "$netdev,id=net0" -device virtio-net-pci,netdev=net0,mac=52:54:00:12:34:01)
words+=(-device VGA -usb -device usb-tablet)
words+=(-object rng-random,id=entropy,filename=/dev/urandom -device virtio-rng-pci,rng=entropy)
words+=(-device virtio-balloon-pci)
words+=(-serial "${QEMU_SERIAL:-mon:stdio}")
[[ -z $display ]] || words+=(-display "$display")
exec "$qemu" "${words[@]}" "$@"

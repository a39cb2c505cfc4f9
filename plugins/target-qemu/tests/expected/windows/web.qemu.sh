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
words+=(-machine q35,smm=on,pflash0=code,pflash1=variables -accel "$accel")
[[ $accel != kvm* ]] || cpu+=,hv_relaxed,hv_vapic,hv_spinlocks=0x1fff,hv_time
words+=(-cpu "$cpu")
words+=(-smp 4,sockets=2,cores=2,threads=1 -m 2048M)
words+=(-rtc base=localtime,driftfix=slew)
words+=(-uuid 564d1234-5678-9abc-def0-123456789abc)
words+=(-device vmgenid,guid=00112233-4455-6677-8899-aabbccddeeff)
secure=yes
code=${QEMU_CODE:-}
vars=${QEMU_VARS:-}
if [[ $secure == yes ]]; then
    pairs=(OVMF_CODE_4M.ms.fd OVMF_VARS_4M.ms.fd OVMF_CODE.secboot.fd OVMF_VARS.secboot.fd
        ovmf-x86_64-smm-ms-code.bin ovmf-x86_64-smm-ms-vars.bin OVMF_CODE.ms.fd OVMF_VARS.ms.fd)
else
    pairs=(OVMF_CODE_4M.fd OVMF_VARS_4M.fd OVMF_CODE.4m.fd OVMF_VARS.4m.fd
        ovmf-x86_64-4m-code.bin ovmf-x86_64-4m-vars.bin OVMF_CODE.fd OVMF_VARS.fd ovmf-x86_64-code.bin ovmf-x86_64-vars.bin)
fi
# Debian and Ubuntu, Fedora, Arch, SUSE, others.
for folder in /usr/share/OVMF /usr/share/edk2/ovmf /usr/share/edk2/x64 /usr/share/qemu /usr/share/edk2-ovmf/x64; do
    for ((at = 0; at < ${#pairs[@]}; at += 2)); do
        if [[ -z $code && -f $folder/${pairs[at]} && -f $folder/${pairs[at + 1]} ]]; then
            code=$folder/${pairs[at]}
            vars=${vars:-$folder/${pairs[at + 1]}}
        fi
    done
done
# The machine's own variables: made once, kept from then on.
nvram=$here/$file.nvram.fd
if [[ -z $code || ! ( -f $nvram || -f $vars ) ]]; then
    say 'there is no UEFI firmware: install the package ovmf (edk2-ovmf on Fedora and Arch, qemu-ovmf-x86_64 on SUSE)'
    exit 69
fi
if [[ ! -f $nvram ]]; then
    (umask 077 && cp -- "$vars" "$nvram.part" && mv -- "$nvram.part" "$nvram")
fi
words+=(-blockdev "driver=raw,node-name=code,read-only=on,file.driver=file,file.filename=${code//,/,,}")
words+=(-blockdev "driver=raw,node-name=variables,file.driver=file,file.filename=${nvram//,/,,}")
if [[ $secure == yes ]]; then
    words+=(-global driver=cfi.pflash01,property=secure,value=on -global ICH9-LPC.disable_s3=1)
fi
tpm='tpm-crb'
if command -v swtpm >/dev/null; then
    # What the TPM keeps lies beside the images; its socket, whose path must be short, does not.
    mkdir -p -- "$here/$file.tpm"
    chmod 700 -- "$here/$file.tpm"
    sockets=$(mktemp -d /tmp/vmdk2kvm.XXXXXX)
    (
        cd -- "$here/$file.tpm"
        swtpm socket --tpm2 --tpmstate dir=. --ctrl "type=unixio,path=$sockets/tpm" &
        # qemu takes the place of this script, and with it its number.
        while kill -0 $$ 2>/dev/null; do sleep 1; done
        kill %1 2>/dev/null || true
        rm -rf -- "$sockets"
    ) &
    for ((tries = 0; tries < 100; tries++)); do
        [[ ! -S $sockets/tpm ]] || break
        sleep 0.1
    done
    words+=(-chardev "socket,id=tpm,path=$sockets/tpm" -tpmdev emulator,id=tpm0,chardev=tpm -device "$tpm,tpmdev=tpm0")
else
    say 'swtpm is not installed (package swtpm): the machine starts without its TPM'
fi
disk disk0 qcow2 '/out/web-disk1.qcow2'
words+=(-device virtio-scsi-pci,id=scsi)
words+=(-device scsi-hd,bus=scsi.0,channel=0,scsi-id=0,lun=0,drive=disk0,serial=disk1,bootindex=1)
disk disk1 qcow2 '/out/web-disk2.qcow2'
words+=(-device scsi-hd,bus=scsi.0,channel=0,scsi-id=1,lun=0,drive=disk1,serial=disk2,bootindex=2)
words+=(-device ide-cd,bus=ide.0)
words+=(-netdev "$netdev,id=net0" -device virtio-net-pci,netdev=net0,mac=52:54:00:12:34:01)
words+=(-device VGA -usb -device usb-tablet)
words+=(-object rng-random,id=entropy,filename=/dev/urandom -device virtio-rng-pci,rng=entropy)
words+=(-device virtio-balloon-pci)
words+=(-serial "${QEMU_SERIAL:-mon:stdio}")
[[ -z $display ]] || words+=(-display "$display")
exec "$qemu" "${words[@]}" "$@"

# shellcheck shell=bash
# Owns the choice between KVM and emulation. /dev/kvm may open and still not run a guest, so the only sound probe is to
# start one and see it arrive; the answer holds until the machine is booted again.

# accelerator: prints qemu's arguments.
accelerator() {
    local cache answer
    cache=${VMDK2KVM_LAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vmdk2kvm/lab}
    mkdir -p "$cache"
    answer=$cache/kvm-$(</proc/sys/kernel/random/boot_id)
    if [[ ! -s $answer ]]; then
        if kvm_runs; then echo yes >"$answer.$$"; else echo no >"$answer.$$"; fi
        mv "$answer.$$" "$answer"
    fi
    case $(<"$answer") in
        yes) echo '-accel kvm -cpu host' ;;
        *) echo '-accel tcg,thread=multi -cpu max' ;;
    esac
}

# kvm_runs: a boot sector that writes 0x10 to the debug-exit port, which ends qemu with (0x10 << 1) | 1.
kvm_runs() {
    [[ -w /dev/kvm ]] || return 1
    local folder status=0
    folder=$(mktemp -d)
    # mov al, 0x10; out 0xf4, al; hlt; and the boot signature
    printf '\xb0\x10\xe6\xf4\xf4' >"$folder/sector"
    truncate --size=510 "$folder/sector"
    printf '\x55\xaa' >>"$folder/sector"
    timeout --kill-after=1 10 qemu-system-x86_64 -accel kvm -cpu host -machine q35 -m 128 -nodefaults -display none \
        -drive "if=none,id=disk,format=raw,readonly=on,file=$folder/sector" -device virtio-blk-pci,drive=disk,bootindex=1 \
        -device isa-debug-exit,iobase=0xf4,iosize=1 >/dev/null 2>&1 || status=$?
    rm -r "$folder"
    ((status == 33))
}

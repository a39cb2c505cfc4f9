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

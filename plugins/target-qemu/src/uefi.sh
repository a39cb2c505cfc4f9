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

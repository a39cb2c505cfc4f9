# shellcheck shell=bash
# Owns the VMX: what VMware writes for the recipe's VM. Key order and spelling follow VMware's own files.

: "${name:?}"

# vmx DISK-FILE...: the VMX on stdout, naming these files as scsi0:0, scsi0:1...
vmx() {
    : "${firmware:?}" "${guest_os:?}" "${bios_uuid:?}" "${mac:?}" "${slot:?}" "${slot_2:?}"
    cat <<VMX
.encoding = "UTF-8"
config.version = "8"
virtualHW.version = "19"
nvram = "$name.nvram"
pciBridge0.present = "TRUE"
pciBridge4.present = "TRUE"
pciBridge4.virtualDev = "pcieRootPort"
pciBridge4.functions = "8"
svga.present = "TRUE"
svga.autodetect = "TRUE"
hpet0.present = "TRUE"
vmci0.present = "TRUE"
displayName = "$name"
guestOS = "$guest_os"
firmware = "$([[ $firmware == uefi ]] && echo efi || echo bios)"
$([[ -z ${secure_boot:-} ]] || echo 'uefi.secureBoot.enabled = "TRUE"')
memsize = "1024"
numvcpus = "2"
cpuid.coresPerSocket = "1"
uuid.bios = "$bios_uuid"
uuid.location = "$bios_uuid"
tools.syncTime = "FALSE"
tools.upgrade.policy = "manual"
powerType.powerOff = "default"
powerType.suspend = "soft"
powerType.reset = "default"
scsi0.present = "TRUE"
scsi0.virtualDev = "pvscsi"
scsi0.pciSlotNumber = "160"
$(vmx_disks "$@")
sata0.present = "TRUE"
sata0.pciSlotNumber = "33"
sata0:0.present = "TRUE"
sata0:0.deviceType = "atapi-cdrom"
sata0:0.fileName = "auto detect"
sata0:0.startConnected = "FALSE"
floppy0.present = "TRUE"
floppy0.fileType = "device"
floppy0.startConnected = "FALSE"
floppy0.fileName = ""
floppy0.clientDevice = "TRUE"
$(vmx_card 0 "$mac" "$slot" "VM Network")
$([[ -z ${mac_2:-} ]] || vmx_card 1 "$mac_2" "$slot_2" Backup)
replay.supported = "FALSE"
cleanShutdown = "TRUE"
softPowerOff = "TRUE"
VMX
}

vmx_disks() {
    local unit=0 file
    for file in "$@"; do
        printf 'scsi0:%s.present = "TRUE"\nscsi0:%s.deviceType = "scsi-hardDisk"\n' $unit $unit
        printf 'scsi0:%s.fileName = "%s"\nscsi0:%s.redo = ""\n' $unit "$file" $unit
        unit=$((unit + 1))
    done
}

# vmx_card NUMBER MAC SLOT NETWORK: VMware keeps a MAC under one of two keys, by who chose it.
vmx_card() {
    : "${mac_type:?}"
    local card=ethernet$1
    printf '%s.present = "TRUE"\n%s.virtualDev = "vmxnet3"\n%s.networkName = "%s"\n' "$card" "$card" "$card" "$4"
    case $mac_type in
        static) printf '%s.addressType = "static"\n%s.address = "%s"\n' "$card" "$card" "$2" ;;
        vpx) printf '%s.addressType = "vpx"\n%s.generatedAddress = "%s"\n%s.generatedAddressOffset = "0"\n' "$card" "$card" "$2" "$card" ;;
    esac
    printf '%s.wakeOnPcktRcv = "FALSE"\n%s.pciSlotNumber = "%s"\n' "$card" "$card" "$3"
}

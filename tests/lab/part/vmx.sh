# shellcheck shell=bash
# Owns the VMX: what VMware writes for the recipe's VM. Key order and spelling follow VMware's own files.

: "${name:?}"

# vmx DISK-FILE: the VMX on stdout, naming that file as scsi0:0.
vmx() {
    : "${firmware:?}" "${guest_os:?}" "${bios_uuid:?}"
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
scsi0:0.present = "TRUE"
scsi0:0.deviceType = "scsi-hardDisk"
scsi0:0.fileName = "$1"
scsi0:0.redo = ""
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
ethernet0.present = "TRUE"
ethernet0.virtualDev = "vmxnet3"
ethernet0.networkName = "VM Network"
$(vmx_address)
ethernet0.wakeOnPcktRcv = "FALSE"
ethernet0.pciSlotNumber = "192"
replay.supported = "FALSE"
cleanShutdown = "TRUE"
softPowerOff = "TRUE"
VMX
}

# VMware keeps a MAC under one of two keys, by who chose it.
vmx_address() {
    : "${mac:?}" "${mac_type:?}"
    case $mac_type in
        static) printf 'ethernet0.addressType = "static"\nethernet0.address = "%s"\n' "$mac" ;;
        vpx) printf 'ethernet0.addressType = "vpx"\nethernet0.generatedAddress = "%s"\nethernet0.generatedAddressOffset = "0"\n' "$mac" ;;
    esac
}

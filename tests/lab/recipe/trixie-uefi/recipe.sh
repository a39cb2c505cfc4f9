# shellcheck shell=bash
# shellcheck disable=SC2034 # read by part/build and, exported, by inside.sh
# Guest (b): Trixie, UEFI, GPT, LVM, signed shim and GRUB that only the NVRAM knows. Owns the guest's data and its disk
# layout.
: "${lab:?}" "${MiB:?}" "${work:?}"

suite=trixie
packages=linux-image-amd64,initramfs-tools,grub-efi-amd64,grub-efi-amd64-signed,shim-signed,lvm2,systemd-sysv,udev,dbus
packages+=,kmod,e2fsprogs,dosfstools,zstd,login,passwd,iproute2,iputils-ping,openssh-server,open-vm-tools,procps
uses=("$lab/aspect/identity.sh" "$lab/aspect/patience.sh")
inside=("$lab/aspect/identity.sh" "$lab/aspect/patience.sh" "$lab/recipe/trixie-uefi/inside.sh")

firmware=uefi
hostname=trixie-uefi
address=10.0.2.78
mac=00:50:56:9d:78:02
mac_type=vpx
guest_os=debian12-64
bios_uuid='42 1d 5a c7 90 3e b1 66-2d 18 f4 0b 73 9c aa 02'
machine_id=41c09a5be2d84e6f8a7710d3c6b47802
capacity=$((4096 * MiB))

esp_id=7A02B1D8
esp_partuuid=6d1a7c40-52c7-4f0e-9d60-28c07a1b7801
boot_partuuid=960397a7-8975-4449-9fd6-b8cf21157802
lvm_partuuid=7cba754f-805a-4749-be8b-100cae847803
boot_uuid=c94d2f5e-7be1-4a38-b6ad-13d5f0a27802
root_uuid=5b86e0aa-1f49-45d3-9c0e-8f7c26de7803
swap_uuid=e2f7306d-0c5a-4b1e-8a4f-b49a61d37804
volume_group=$hostname-vg
# The device mapper doubles the dashes of a name and joins group and volume with a single one.
mapper=/dev/mapper/${volume_group//-/--}
resume=$mapper-swap_1

grub_says="root device $mapper-root
root fs ext2
root fs_uuid $root_uuid
root partmap gpt
root abstraction lvm
root hint lvm/$volume_group-root
boot device /dev/sda2
boot fs ext2
boot fs_uuid $boot_uuid
boot partmap gpt
boot hint hd0,gpt2"

make_disk() {
    local root=$1 disk=$2 parts=$work/parts volumes volume offset bytes
    new_disk "$disk" "$capacity" <<LAYOUT
label: gpt
label-id: 2E9F1D04-6C77-4B55-A1F3-90D8BB5E7800
start=2048, size=$((128 * 2048)), type=uefi, uuid=$esp_partuuid
start=$((129 * 2048)), size=$((384 * 2048)), type=linux, uuid=$boot_partuuid
start=$((513 * 2048)), size=$((3582 * 2048)), type=lvm, uuid=$lvm_partuuid
LAYOUT
    # /boot and the ESP leave the tree; their empty folders stay to be mounted on.
    mkdir "$parts"
    mv "$root/boot" "$parts/boot"
    mv "$parts/boot/efi" "$parts/esp"
    mkdir "$root/boot" "$parts/boot/efi"
    put_fat "$parts/esp" "$disk" $((1 * MiB)) $((128 * MiB)) "$esp_id"
    put_ext4 "$parts/boot" "$disk" $((129 * MiB)) $((384 * MiB)) "$boot_uuid"
    rm -r "$parts"

    volumes=$(new_volume_group "$disk" $((513 * MiB)) $((3582 * MiB)) "$volume_group" swap_1=512m root=100%FREE)
    while read -r volume offset bytes; do
        case $volume in
            swap_1) put_swap "$disk" "$offset" "$bytes" "$swap_uuid" ;;
            root) put_ext4 "$root" "$disk" "$offset" "$bytes" "$root_uuid" ;;
        esac
    done <<<"$volumes"
}

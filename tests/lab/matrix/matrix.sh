# shellcheck shell=bash
# shellcheck disable=SC2034 # read by part/build and, exported, by the aspects and by fill
# A guest of the matrix, from the few words of its recipe. Owns what these words mean: names, addresses, identifiers, the
# layout of the disks, and which aspects age the guest. The recipe sets, before it sources this:
#   suite       bookworm or trixie
#   firmware    bios or uefi
#   number      the guest's own, 10 to 99
# and where it differs from the first one named:
#   storage     plain, lvm, lvm-two-disks, luks, lvm-on-luks, luks-on-lvm, md
#   filesystem  ext4, xfs, btrfs (with subvolumes)
#   initramfs   initramfs-tools or dracut
#   network     ifupdown, networkd, networkmanager, netplan; and with two cards in swapped slots and an address in a VLAN
#               ifupdown-bond-vlan, networkd-bridge-vlan, networkmanager-vlan
#   loader      grub (behind shim on UEFI) or systemd-boot
#   secure_boot yes, where the firmware insists on it
#   extras      any of: boot (a /boot of its own), data (a data disk), rt (a second kernel), nic (a second card, by DHCP),
#               selinux (Debian's policy, which logs and forbids nothing)
: "${lab:?}" "${work:?}" "${MiB:?}" "${name:?}" "${suite:?}" "${firmware:?}" "${number:?}"
: "${storage:=plain}" "${filesystem:=ext4}" "${initramfs:=initramfs-tools}" "${network:=ifupdown}" "${loader:=grub}" "${extras:=}"

has_extra() { [[ " $extras " == *" $1 "* ]]; }
# uuid_of INDEX: an identifier of this guest's own.
uuid_of() { printf '5ab1e000-%04x-4d00-8000-%012x' "$number" "$1"; }

# --- packages: one base for all guests of a suite. What excludes each other, and what a kernel update brings, is in /opt/lab.
packages=linux-image-amd64,initramfs-tools,systemd-sysv,udev,dbus,kmod,zstd,login,passwd,procps,iproute2,iputils-ping
packages+=,openssh-server,open-vm-tools,ifupdown,network-manager,netplan.io,isc-dhcp-client
packages+=,e2fsprogs,xfsprogs,btrfs-progs,dosfstools,lvm2,mdadm,cryptsetup,cryptsetup-initramfs
# Of its own since Debian 13, and what opens a container in an initramfs by dracut.
if [[ $suite == trixie ]]; then packages+=,systemd-cryptsetup; fi
packages+=,grub-pc-bin,grub-efi-amd64-bin,grub2-common,grub-efi-amd64-signed,shim-signed
left_out=''
# Half of the kernel's drivers are for hardware that no VM has, and copying them takes long where processors are emulated.
for folder in drivers/gpu drivers/media drivers/iio drivers/infiniband drivers/net/wireless drivers/net/ethernet sound; do
    left_out+=" /lib/modules/*/kernel/$folder/* /usr/lib/modules/*/kernel/$folder/*"
done
stock='kernel=installed rt=linux-image-rt-amd64 grub-pc=grub-pc grub-efi=grub-efi-amd64 systemd-boot=systemd-boot dracut=dracut'
stock_used=''
if [[ $initramfs == dracut ]]; then stock_used+=' dracut'; fi
case $loader-$firmware in
    grub-bios) stock_used+=' grub-pc' grub_target=i386-pc ;;
    grub-uefi) stock_used+=' grub-efi' grub_target=x86_64-efi ;;
    systemd-boot-uefi) stock_used+=' systemd-boot' ;;
esac
if has_extra rt; then stock_used+=' rt'; fi
if [[ $network == ifupdown-bond-vlan ]]; then stock+=' ifenslave=ifenslave' stock_used+=' ifenslave'; fi
selinux=''
if has_extra selinux; then
    stock+=' selinux=selinux-policy-default' stock_used+=' selinux'
    selinux=permissive
fi

# --- identity
hostname=$name
address=10.0.2.$number
mac=00:50:56:3c:00:$number
mac_2='' one_network='' address_on='' vlan='' vlan_address='' vlan_on=''
if has_extra nic; then mac_2=00:50:56:3c:01:$number; fi
if [[ $network == *-vlan ]]; then
    # VMware numbers slots in the order in which cards are added; one that was removed and added again breaks it.
    mac_2=00:50:56:3c:01:$number slot=224 slot_2=192
    vlan=77 vlan_address=10.77.0.$number
fi
case $network in
    ifupdown-bond-vlan) one_network=yes address_on=bond0 vlan_on=bond0.$vlan ;;
    networkd-bridge-vlan) vlan_on=br0 ;;
    networkmanager-vlan) vlan_on=ens192.$vlan ;;
esac
mac_type=vpx
guest_os=debian12-64
bios_uuid="42 1d 5a c7 90 3e b1 66-2d 18 f4 0b 73 9c bb $number"
machine_id=41c09a5be2d84e6f8a7710d3c6b4bb$number
packagings=sparse

# --- disks: sda1, sda2... in this order: the EFI system partition, /boot, swap, and what holds the root
capacity=$((3584 * MiB))
layout='label: dos' part=0 at=1
if [[ $firmware == uefi ]]; then layout='label: gpt'; fi
# partition VARIABLE MIB TYPE: MIB 0 takes the rest.
partition() {
    local size=$2
    part=$((part + 1))
    if ((size == 0)); then size=$((capacity / MiB - at - 1)); fi
    layout+=$'\n'"start=$((at * 2048)), size=$((size * 2048)), type=$3"
    at=$((at + size))
    printf -v "$1" '/dev/sda%s' "$part"
}
esp='' boot='' swap='' main='' data='' luks='' luks_name=''
if [[ $firmware == uefi ]]; then partition esp 160 uefi; fi
if has_extra boot; then partition boot 320 linux; fi
case $storage in *lvm*) ;; *) partition swap 128 swap ;; esac
partition main 0 linux
extra_disks=0
case $storage in lvm-two-disks | md) extra_disks=1 ;; esac
if has_extra data; then
    extra_disks=$((extra_disks + 1))
    data=/dev/sd$([[ $extra_disks == 1 ]] && echo b || echo c)1
fi

volume_group=$hostname-vg
mapper=/dev/mapper/${volume_group//-/--}
root_uuid=$(uuid_of 1) swap_uuid=$(uuid_of 2) boot_uuid=$(uuid_of 3) luks_uuid=$(uuid_of 4) data_uuid=$(uuid_of 5)
md_uuid=5ab1e000:4d004d00:80008000:000000$number
esp_id=7A02BB$number

# --- the names that VMware years wrote
fstab_swap=${swap:-$mapper-swap}
arguments='' root_options=defaults grub_root_uuid=$root_uuid abstraction=''
case $storage in
    plain) fstab_root=$main ;;
    lvm | lvm-two-disks | lvm-on-luks) fstab_root=$mapper-root abstraction=lvm ;;
    luks) fstab_root=/dev/mapper/${main#/dev/}_crypt ;;
    luks-on-lvm) fstab_root=/dev/mapper/root_crypt ;;
    md) fstab_root=/dev/md0 abstraction=mdraid1x ;;
esac
if [[ -n $selinux ]]; then arguments='security=selinux selinux=1'; fi
passphrase=''
case $storage in *luks*) passphrase="open $number" ;; esac
case $storage in
    luks | lvm-on-luks) luks=$main luks_name=${main#/dev/}_crypt ;;
    luks-on-lvm) luks=$mapper-root luks_name=root_crypt ;;
esac
if [[ $filesystem == ext4 ]]; then root_options=errors=remount-ro; fi
if [[ $filesystem == btrfs ]]; then root_options=defaults,subvol=@rootfs; fi

grub_fs=$filesystem
if [[ $grub_fs == ext4 ]]; then grub_fs=ext2; fi
map=$([[ $firmware == uefi ]] && echo gpt || echo msdos)
grub_says="root device $fstab_root
root fs $grub_fs
root fs_uuid $root_uuid
root partmap $map
root abstraction $abstraction
root hint hd0,$map${main#/dev/sda}"
grub_uuid=$root_uuid grub_boot=/boot
if [[ $filesystem == btrfs ]]; then
    grub_says+=$'\nroot subvolume /@rootfs'
    grub_boot=/@rootfs/boot
fi
if [[ -n $boot ]]; then
    grub_uuid=$boot_uuid grub_boot=''
    grub_says+="
boot device $boot
boot fs ext2
boot fs_uuid $boot_uuid
boot partmap $map
boot hint hd0,$map${boot#/dev/sda}"
fi

# --- how it is made. An initramfs that opens a LUKS container is made where the container is open (see fill).
initramfs_aspect=$(<"$lab/aspect/$initramfs.sh")
inside=()
for aspect in packages ${selinux:+selinux} identity names "$initramfs" "$loader" "$network" vmware patience; do
    if [[ $aspect != "$initramfs" || -z $luks ]]; then inside+=("$lab/aspect/$aspect.sh"); fi
done
uses=("$lab/matrix" "$lab/aspect/$initramfs.sh" "${inside[@]}")

make_disk() {
    local disk tree=$work/tree.img tree_uuid=random
    new_disk "$2" "$capacity" <<<"$layout"
    if [[ $firmware == bios ]]; then put_bios_grub "$1" "$2"; fi
    local disks=("$2")
    case $storage in
        md)
            cp --sparse=always "$2" "$work/disk2.raw"
            disks+=("$work/disk2.raw")
            ;;
        lvm-two-disks)
            truncate --size="$((2048 * MiB))" "$work/disk2.raw"
            disks+=("$work/disk2.raw")
            ;;
    esac
    if [[ -n $data ]]; then
        disk=$work/disk$((${#disks[@]} + 1)).raw
        new_disk "$disk" $((512 * MiB)) <<<'start=2048, type=83'
        disks+=("$disk")
    fi
    # One filesystem has that UUID, and the tree is none of the guest's unless it is copied as one.
    if [[ $filesystem == ext4 ]]; then tree_uuid=$root_uuid; fi
    # As small as a root of ext4 can begin, since that is a copy of it. Left out is what GRUB 2.06 cannot read and newer builders switch on.
    mke2fs -q -F -t ext4 -U "$tree_uuid" -O '^metadata_csum_seed,^orphan_file' -E lazy_itable_init=0 -d "$1" "$tree" 1280M
    in_appliance "$lab/matrix/fill" "$tree" "${disks[@]}"
    rm "$tree"
}

# shellcheck shell=bash
# shellcheck disable=SC2154 # the recipe's variables come through the environment
# Ages guest (a) from inside its tree: names of VMware's devices in everything that decides the boot, an initramfs without
# virtio, VMware's tools and traces. Owns the contents of the guest's files.

# --- disks by VMware's names
install -d /media/cdrom0 /mnt/hgfs
cat >/etc/fstab <<FSTAB
# /etc/fstab: static file system information.
#
# <file system> <mount point>   <type>  <options>       <dump>  <pass>
$fstab_root /               ext4    errors=remount-ro 0       1
# swap was on /dev/sda5 during installation
$fstab_swap none            swap    sw              0       0
/dev/sr0        /media/cdrom0   udf,iso9660 user,noauto     0       0
.host:/         /mnt/hgfs       fuse.vmhgfs-fuse defaults,allow_other,nofail 0 0
FSTAB

# --- initramfs: what this VM has, nothing else
sed -i 's/^MODULES=.*/MODULES=list/' /etc/initramfs-tools/initramfs.conf
printf '%s\n' vmw_pvscsi mptspi mptsas vmxnet3 sd_mod ext4 >>/etc/initramfs-tools/modules
install -d /etc/initramfs-tools/conf.d
echo "RESUME=$resume" >/etc/initramfs-tools/conf.d/resume
cat >/etc/modprobe.d/vmware.conf <<'MODPROBE'
alias scsi_hostadapter vmw_pvscsi
alias eth0 vmxnet3
blacklist virtio_balloon
MODPROBE
echo vmxnet3 >>/etc/modules
kernel=$(basename /boot/vmlinuz-*)
kernel=${kernel#vmlinuz-}
# The fsck hook cannot ask a disk that is not there yet, so it is told for once.
echo FSTYPE=ext4 >>/etc/initramfs-tools/initramfs.conf
update-initramfs -c -k "$kernel"
sed -i '/^FSTYPE=ext4$/d' /etc/initramfs-tools/initramfs.conf
if lsinitramfs "/boot/initrd.img-$kernel" | grep /virtio >&2; then
    echo "the initramfs has virtio" >&2
    exit 1
fi

# --- boot loader
sed -i -e 's/^GRUB_TIMEOUT=.*/GRUB_TIMEOUT=1/' \
    -e "s|^GRUB_CMDLINE_LINUX=.*|GRUB_CMDLINE_LINUX=\"console=tty0 console=ttyS0,115200 resume=$resume elevator=noop\"|" \
    -e "s/^#*GRUB_DISABLE_LINUX_UUID=.*/GRUB_DISABLE_LINUX_UUID=$grub_disable_uuid/" \
    -e 's/^#*GRUB_TERMINAL=.*/GRUB_TERMINAL=console/' /etc/default/grub
install -d /boot/grub/i386-pc
cp /usr/lib/grub/i386-pc/*.mod /usr/lib/grub/i386-pc/*.lst /usr/lib/grub/i386-pc/boot.img /boot/grub/i386-pc/
grub-mkimage -O i386-pc -p '(,msdos1)/boot/grub' -o /boot/grub/i386-pc/core.img biosdisk part_msdos ext2
grub-editenv /boot/grub/grubenv create
echo '(hd0)	/dev/sda' >/boot/grub/device.map
# grub-mkconfig believes in a UUID only when udev has made a link for it.
install -d /dev/disk/by-uuid
: >"/dev/disk/by-uuid/$root_uuid"
grub-mkconfig -o /boot/grub/grub.cfg
rm -r /dev/disk

# --- network by VMware's names
cat >/etc/network/interfaces <<INTERFACES
# This file describes the network interfaces available on your system
# and how to activate them. For more information, see interfaces(5).

source /etc/network/interfaces.d/*

auto lo
iface lo inet loopback

# The primary network interface
allow-hotplug ens192
iface ens192 inet static
    address $address/24
    gateway 10.0.2.2
    dns-nameservers 10.0.2.3
INTERFACES
cat >/etc/udev/rules.d/70-persistent-net.rules <<RULES
# PCI device 0x15ad:0x07b0 (vmxnet3)
SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", ATTR{address}=="$mac", ATTR{dev_id}=="0x0", ATTR{type}=="1", NAME="ens192"
RULES

# --- VMware's traces
cat >/etc/udev/rules.d/99-vmware-scsi-timeout.rules <<'RULES'
ACTION=="add", SUBSYSTEMS=="scsi", ATTRS{vendor}=="VMware*", ATTRS{model}=="Virtual disk*", RUN+="/bin/sh -c 'echo 180 >/sys$DEVPATH/timeout'"
RULES
cat >/etc/cron.d/vmware-time <<'CRON'
17 * * * * root /usr/bin/vmware-toolbox-cmd timesync status >/dev/null 2>&1
CRON
rm -rf /tmp/* /var/log/*.log /var/log/apt

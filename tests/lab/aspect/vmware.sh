# shellcheck shell=bash
# Owns VMware's traces that every guest of the matrix has, and the end of its making.

cat >/etc/modprobe.d/vmware.conf <<'MODPROBE'
alias scsi_hostadapter vmw_pvscsi
alias eth0 vmxnet3
blacklist virtio_balloon
MODPROBE
echo vmxnet3 >>/etc/modules
cat >/etc/udev/rules.d/99-vmware-scsi-timeout.rules <<'RULES'
ACTION=="add", SUBSYSTEMS=="scsi", ATTRS{vendor}=="VMware*", ATTRS{model}=="Virtual disk*", RUN+="/bin/sh -c 'echo 180 >/sys$DEVPATH/timeout'"
RULES
rm -rf /tmp/* /var/log/*.log /var/log/apt
# What the guest has of the stock is installed; the kernel is for an update.
find /opt/lab -mindepth 1 -maxdepth 1 ! -name kernel -exec rm -r {} +

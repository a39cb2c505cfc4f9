# shellcheck shell=bash
# shellcheck disable=SC2154 # the recipe's variables come through the environment
# Owns who the guest is and how a test gets in: names, root's ssh key, a login prompt on the serial port.

echo "$hostname" >/etc/hostname
printf '127.0.0.1\tlocalhost\n127.0.1.1\t%s\n' "$hostname" >/etc/hosts
echo "$machine_id" >/etc/machine-id
rm -f /etc/resolv.conf
echo 'nameserver 10.0.2.3' >/etc/resolv.conf
rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/* /var/lib/apt/lists/* /var/cache/apt/*.bin
install -d -m 0700 /root/.ssh
echo "$authorized_key" >/root/.ssh/authorized_keys
systemctl enable serial-getty@ttyS0.service

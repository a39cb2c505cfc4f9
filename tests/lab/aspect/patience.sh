# shellcheck shell=bash
# Owns how long the guest waits for its devices and services: 90 s are not enough where processors are emulated and others work beside it.

install -d /etc/systemd/system.conf.d
# The second one is systemd's since 253; before, devices had the first one's.
printf '[Manager]\nDefaultTimeoutStartSec=300s\nDefaultDeviceTimeoutSec=300s\n' >/etc/systemd/system.conf.d/patience.conf

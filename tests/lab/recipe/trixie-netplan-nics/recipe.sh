# shellcheck shell=bash
# shellcheck disable=SC2034 # read by matrix/matrix.sh
# Of the matrix: Debian 13 behind shim and GRUB with Secure Boot, netplan with two cards, a data disk.
: "${lab:?}"
suite=trixie
firmware=uefi
number=16
network=netplan
secure_boot=yes
extras="boot nic data"
# shellcheck source=matrix/matrix.sh
source "$lab/matrix/matrix.sh"

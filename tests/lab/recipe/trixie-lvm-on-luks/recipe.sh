# shellcheck shell=bash
# shellcheck disable=SC2034 # read by matrix/matrix.sh
# Of the matrix: Debian 13 with LVM in an encrypted container, two cards.
: "${lab:?}"
suite=trixie
firmware=uefi
number=14
storage=lvm-on-luks
network=netplan
extras="boot nic"
# shellcheck source=matrix/matrix.sh
source "$lab/matrix/matrix.sh"

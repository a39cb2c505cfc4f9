# shellcheck shell=bash
# shellcheck disable=SC2034 # read by matrix/matrix.sh
# Of the matrix: Debian 13, a bridge over a VLAN with systemd-networkd.
: "${lab:?}"
suite=trixie
firmware=bios
number=27
network=networkd-bridge-vlan
# shellcheck source=matrix/matrix.sh
source "$lab/matrix/matrix.sh"

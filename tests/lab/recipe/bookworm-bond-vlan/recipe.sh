# shellcheck shell=bash
# shellcheck disable=SC2034 # read by matrix/matrix.sh
# Of the matrix: Debian 12, a VLAN over a bond of two cards with ifupdown.
: "${lab:?}"
suite=bookworm
firmware=bios
number=26
network=ifupdown-bond-vlan
# shellcheck source=matrix/matrix.sh
source "$lab/matrix/matrix.sh"

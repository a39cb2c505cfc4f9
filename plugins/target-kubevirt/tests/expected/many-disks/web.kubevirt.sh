#!/usr/bin/env bash
# Uploads the disks of: Web server
#
# Written by vmdk2kvm. It starts nothing, and needs kubectl and virtctl. First make the volumes and the machine, which stays off:
#
#     kubectl create -f web.kubevirt.yaml
#
# Arguments are handed to virtctl, e.g. --insecure, or --force-bind for a storage class that waits for a consumer.
# What stands in single quotes is a name, whatever it looks like.
# shellcheck disable=SC2016
set -euo pipefail

file='web'
here=${BASH_SOURCE[0]%/*}
[[ $here != "${BASH_SOURCE[0]}" ]] || here=.
# The last letter keeps a line feed at the end of a folder's name.
here=$(CDPATH='' cd -- "$here" && printf '%s/x' "$PWD")
here=${here%/x}

say() {
    printf '%s: %s\n' "$file" "$1" >&2
}

need() {
    command -v -- "$1" >/dev/null || { say "$1 is not installed here"; exit 69; }
}

# Sets `image`. It is looked for beside this script first: the folder may have been moved.
find_image() {
    image=$1
    if [[ -e $here/${image##*/} ]]; then image=$here/${image##*/}; fi
    if [[ ! -e $image ]]; then
        say "$image is missing"
        exit 65
    fi
}

namespace=()
# A volume that has its data is not uploaded again: a second run goes on.
upload() {
    local volume=$1 phase
    find_image "$2"
    phase=$(kubectl get datavolume "$volume" "${namespace[@]}" -o 'jsonpath={.status.phase}')
    if [[ $phase == Succeeded ]]; then
        say "$volume has its data already"
        return
    fi
    virtctl image-upload dv "$volume" "${namespace[@]}" --no-create "--image-path=$image" "${more[@]}"
}

need kubectl
need virtctl
more=("$@")

upload 'web-server-disk1' '/out/web-disk1.qcow2'
upload 'web-server-disk2' '/out/web-disk2.qcow2'
upload 'web-server-disk3' '/out/web-disk3.qcow2'
upload 'web-server-disk4' '/out/web-disk4.qcow2'
upload 'web-server-disk5' '/out/web-disk5.qcow2'
upload 'web-server-disk6' '/out/web-disk6.qcow2'
upload 'web-server-disk7' '/out/web-disk7.qcow2'
upload 'web-server-disk8' '/out/web-disk8.qcow2'
upload 'web-server-disk9' '/out/web-disk9.qcow2'
upload 'web-server-disk10' '/out/web-disk10.qcow2'
upload 'web-server-disk11' '/out/web-disk11.qcow2'
upload 'web-server-disk12' '/out/web-disk12.qcow2'
upload 'web-server-disk13' '/out/web-disk13.qcow2'
upload 'web-server-disk14' '/out/web-disk14.qcow2'
upload 'web-server-disk15' '/out/web-disk15.qcow2'
upload 'web-server-disk16' '/out/web-disk16.qcow2'
upload 'web-server-disk17' '/out/web-disk17.qcow2'
upload 'web-server-disk18' '/out/web-disk18.qcow2'
upload 'web-server-disk19' '/out/web-disk19.qcow2'
upload 'web-server-disk20' '/out/web-disk20.qcow2'
upload 'web-server-disk21' '/out/web-disk21.qcow2'
upload 'web-server-disk22' '/out/web-disk22.qcow2'
upload 'web-server-disk23' '/out/web-disk23.qcow2'
upload 'web-server-disk24' '/out/web-disk24.qcow2'

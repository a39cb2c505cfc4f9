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

#!/usr/bin/env bash
# Makes the volumes and ports of: Web server
#
# Written by vmdk2kvm. It needs the program openstack and its credentials, and starts nothing: it ends with the command that makes the server,
# which OpenStack starts at once. A flavor has to have 4 processors and 2048 MiB of memory; its disk is not used.
# These variables change what is made:
#   NETWORK   what cards are on that the job names no network for
#   FLAVOR    the flavor of the server
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

need openstack
# What somebody made under this name is no business of this script.
taken() {
    local said
    if said=$(openstack "$1" show -f value -c id -- "$2" 2>&1) || [[ $said == *'More than one'* ]]; then
        say "there is a $1 named $2 already: delete or rename it, this script replaces nothing"
        exit 73
    fi
}

# Makes the volume $1 of the image file $2, which is of the format $3, with $4 GiB; what follows goes to `volume create`.
volume() {
    local name=$1 format=$3 size=$4 image_id volume_id status
    find_image "$2"
    shift 4
    image_id=$(openstack image create -f value -c id --private --container-format bare --disk-format "$format" \
        --file "$image" "${properties[@]}" -- "$name")
    volume_id=$(openstack volume create -f value -c id --image "$image_id" --size "$size" "$@" -- "$name")
    until status=$(openstack volume show -f value -c status -- "$volume_id"); [[ $status == available ]]; do
        if [[ $status == error* ]]; then
            say "the volume $name could not be made"
            exit 74
        fi
        sleep "${PATIENCE:-5}"
    done
    # It holds what the image held.
    openstack image delete -- "$image_id"
    volumes+=("$volume_id")
}

# Makes the port $1 on the network $2; what follows goes to `port create`.
port() {
    local name=$1 network=$2 port_id
    shift 2
    port_id=$(openstack port create -f value -c id --network "$network" "$@" -- "$name")
    words+=(--port "$port_id")
}

volumes=()
words=()
properties=(
    --property 'architecture=x86_64'
    --property 'hw_cdrom_bus=sata'
    --property 'hw_cpu_cores=2'
    --property 'hw_cpu_sockets=2'
    --property 'hw_cpu_threads=1'
    --property 'hw_disk_bus=virtio'
    --property 'hw_firmware_type=uefi'
    --property 'hw_machine_type=q35'
    --property 'hw_pointer_model=usbtablet'
    --property 'hw_qemu_guest_agent=yes'
    --property 'hw_rng_model=virtio'
    --property 'hw_video_model=vga'
    --property 'hw_vif_model=virtio'
    --property 'hypervisor_type=kvm'
    --property 'os_secure_boot=disabled'
    --property 'vm_mode=hvm'
)
flavor=${FLAVOR:-'FLAVOR'}
if [[ -z ${NETWORK:-} ]]; then
    say 'name the network of the cards that the job names none for, with NETWORK=...'
    exit 64
fi

taken volume 'web-server-disk1'
taken image 'web-server-disk1'
taken port 'web-server-port1'

volume 'web-server-disk1' '/out/web-disk1.qcow2' 'qcow2' '1' '--bootable'
words+=(--block-device "uuid=${volumes[0]},source_type=volume,destination_type=volume,disk_bus=virtio,boot_index=0")
port 'web-server-port1' "$NETWORK" --mac-address 52:54:00:12:34:01

say 'all is made, and nothing started. This makes the server, and starts it:'
printf ' %q' openstack server create --flavor "$flavor" "${words[@]}" --property 'name=Web server' -- 'web-server'
printf '\n'

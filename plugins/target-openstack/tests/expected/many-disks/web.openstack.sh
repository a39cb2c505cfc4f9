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
    --property 'hw_disk_bus=scsi'
    --property 'hw_firmware_type=bios'
    --property 'hw_machine_type=q35'
    --property 'hw_pointer_model=usbtablet'
    --property 'hw_qemu_guest_agent=yes'
    --property 'hw_rng_model=virtio'
    --property 'hw_scsi_model=virtio-scsi'
    --property 'hw_video_model=vga'
    --property 'hw_vif_model=virtio'
    --property 'hypervisor_type=kvm'
    --property 'vm_mode=hvm'
)
flavor=${FLAVOR:-'FLAVOR'}
if [[ -z ${NETWORK:-} ]]; then
    say 'name the network of the cards that the job names none for, with NETWORK=...'
    exit 64
fi

taken volume 'web-server-disk1'
taken image 'web-server-disk1'
taken volume 'web-server-disk2'
taken image 'web-server-disk2'
taken volume 'web-server-disk3'
taken image 'web-server-disk3'
taken volume 'web-server-disk4'
taken image 'web-server-disk4'
taken volume 'web-server-disk5'
taken image 'web-server-disk5'
taken volume 'web-server-disk6'
taken image 'web-server-disk6'
taken volume 'web-server-disk7'
taken image 'web-server-disk7'
taken volume 'web-server-disk8'
taken image 'web-server-disk8'
taken volume 'web-server-disk9'
taken image 'web-server-disk9'
taken volume 'web-server-disk10'
taken image 'web-server-disk10'
taken volume 'web-server-disk11'
taken image 'web-server-disk11'
taken volume 'web-server-disk12'
taken image 'web-server-disk12'
taken volume 'web-server-disk13'
taken image 'web-server-disk13'
taken volume 'web-server-disk14'
taken image 'web-server-disk14'
taken volume 'web-server-disk15'
taken image 'web-server-disk15'
taken volume 'web-server-disk16'
taken image 'web-server-disk16'
taken volume 'web-server-disk17'
taken image 'web-server-disk17'
taken volume 'web-server-disk18'
taken image 'web-server-disk18'
taken volume 'web-server-disk19'
taken image 'web-server-disk19'
taken volume 'web-server-disk20'
taken image 'web-server-disk20'
taken volume 'web-server-disk21'
taken image 'web-server-disk21'
taken volume 'web-server-disk22'
taken image 'web-server-disk22'
taken volume 'web-server-disk23'
taken image 'web-server-disk23'
taken volume 'web-server-disk24'
taken image 'web-server-disk24'
taken port 'web-server-port1'

volume 'web-server-disk1' '/out/web-disk1.qcow2' 'qcow2' '1' '--bootable'
words+=(--block-device "uuid=${volumes[0]},source_type=volume,destination_type=volume,disk_bus=scsi,boot_index=0")
volume 'web-server-disk2' '/out/web-disk2.qcow2' 'qcow2' '1'
words+=(--block-device "uuid=${volumes[1]},source_type=volume,destination_type=volume,disk_bus=scsi,boot_index=1")
volume 'web-server-disk3' '/out/web-disk3.qcow2' 'qcow2' '1'
words+=(--block-device "uuid=${volumes[2]},source_type=volume,destination_type=volume,disk_bus=scsi,boot_index=2")
volume 'web-server-disk4' '/out/web-disk4.qcow2' 'qcow2' '1'
words+=(--block-device "uuid=${volumes[3]},source_type=volume,destination_type=volume,disk_bus=scsi,boot_index=3")
volume 'web-server-disk5' '/out/web-disk5.qcow2' 'qcow2' '1'
words+=(--block-device "uuid=${volumes[4]},source_type=volume,destination_type=volume,disk_bus=scsi,boot_index=4")
volume 'web-server-disk6' '/out/web-disk6.qcow2' 'qcow2' '1'
words+=(--block-device "uuid=${volumes[5]},source_type=volume,destination_type=volume,disk_bus=scsi,boot_index=5")
volume 'web-server-disk7' '/out/web-disk7.qcow2' 'qcow2' '1'
words+=(--block-device "uuid=${volumes[6]},source_type=volume,destination_type=volume,disk_bus=scsi,boot_index=6")
volume 'web-server-disk8' '/out/web-disk8.qcow2' 'qcow2' '1'
words+=(--block-device "uuid=${volumes[7]},source_type=volume,destination_type=volume,disk_bus=scsi,boot_index=7")
volume 'web-server-disk9' '/out/web-disk9.qcow2' 'qcow2' '1'
words+=(--block-device "uuid=${volumes[8]},source_type=volume,destination_type=volume,disk_bus=scsi,boot_index=8")
volume 'web-server-disk10' '/out/web-disk10.qcow2' 'qcow2' '1'
words+=(--block-device "uuid=${volumes[9]},source_type=volume,destination_type=volume,disk_bus=scsi,boot_index=9")
volume 'web-server-disk11' '/out/web-disk11.qcow2' 'qcow2' '1'
words+=(--block-device "uuid=${volumes[10]},source_type=volume,destination_type=volume,disk_bus=scsi,boot_index=10")
volume 'web-server-disk12' '/out/web-disk12.qcow2' 'qcow2' '1'
words+=(--block-device "uuid=${volumes[11]},source_type=volume,destination_type=volume,disk_bus=scsi,boot_index=11")
volume 'web-server-disk13' '/out/web-disk13.qcow2' 'qcow2' '1'
words+=(--block-device "uuid=${volumes[12]},source_type=volume,destination_type=volume,disk_bus=scsi,boot_index=12")
volume 'web-server-disk14' '/out/web-disk14.qcow2' 'qcow2' '1'
words+=(--block-device "uuid=${volumes[13]},source_type=volume,destination_type=volume,disk_bus=scsi,boot_index=13")
volume 'web-server-disk15' '/out/web-disk15.qcow2' 'qcow2' '1'
words+=(--block-device "uuid=${volumes[14]},source_type=volume,destination_type=volume,disk_bus=scsi,boot_index=14")
volume 'web-server-disk16' '/out/web-disk16.qcow2' 'qcow2' '1'
words+=(--block-device "uuid=${volumes[15]},source_type=volume,destination_type=volume,disk_bus=scsi,boot_index=15")
volume 'web-server-disk17' '/out/web-disk17.qcow2' 'qcow2' '1'
words+=(--block-device "uuid=${volumes[16]},source_type=volume,destination_type=volume,disk_bus=scsi,boot_index=16")
volume 'web-server-disk18' '/out/web-disk18.qcow2' 'qcow2' '1'
words+=(--block-device "uuid=${volumes[17]},source_type=volume,destination_type=volume,disk_bus=scsi,boot_index=17")
volume 'web-server-disk19' '/out/web-disk19.qcow2' 'qcow2' '1'
words+=(--block-device "uuid=${volumes[18]},source_type=volume,destination_type=volume,disk_bus=scsi,boot_index=18")
volume 'web-server-disk20' '/out/web-disk20.qcow2' 'qcow2' '1'
words+=(--block-device "uuid=${volumes[19]},source_type=volume,destination_type=volume,disk_bus=scsi,boot_index=19")
volume 'web-server-disk21' '/out/web-disk21.qcow2' 'qcow2' '1'
words+=(--block-device "uuid=${volumes[20]},source_type=volume,destination_type=volume,disk_bus=scsi,boot_index=20")
volume 'web-server-disk22' '/out/web-disk22.qcow2' 'qcow2' '1'
words+=(--block-device "uuid=${volumes[21]},source_type=volume,destination_type=volume,disk_bus=scsi,boot_index=21")
volume 'web-server-disk23' '/out/web-disk23.qcow2' 'qcow2' '1'
words+=(--block-device "uuid=${volumes[22]},source_type=volume,destination_type=volume,disk_bus=scsi,boot_index=22")
volume 'web-server-disk24' '/out/web-disk24.qcow2' 'qcow2' '1'
words+=(--block-device "uuid=${volumes[23]},source_type=volume,destination_type=volume,disk_bus=scsi,boot_index=23")
port 'web-server-port1' "$NETWORK" --mac-address 52:54:00:12:34:01

say 'all is made, and nothing started. This makes the server, and starts it:'
printf ' %q' openstack server create --flavor "$flavor" "${words[@]}" --property 'name=Web server' -- 'web-server'
printf '\n'

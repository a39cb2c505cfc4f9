need qm
need pvesh
STORAGE=${STORAGE:-local-lvm}
BRIDGE=${BRIDGE:-vmbr0}
VMID=${VMID:-$(pvesh get /cluster/nextid)}
if [[ ! $VMID =~ ^[1-9][0-9]*$ || ! $STORAGE =~ ^[A-Za-z0-9._-]+$ || ! $BRIDGE =~ ^[A-Za-z0-9._-]+$ ]]; then
    say 'VMID must be a number, STORAGE and BRIDGE must be names'
    exit 64
fi
# Asked of the whole cluster: another node may have it.
if ! pvesh get /cluster/nextid --vmid "$VMID" >/dev/null; then
    say "$VMID is not free: choose another number with VMID=..."
    exit 73
fi

# Adds the key $1: a volume of the storage $2, made of the image $3 when there is one, with the properties $4.
volume() {
    local from=''
    if [[ -n $3 ]]; then
        find_image "$3"
        # There is no way to quote them.
        if [[ $image == *[,$'\n']* ]]; then
            say "$image: Proxmox VE takes no path with a comma or a line feed: move the folder"
            exit 65
        fi
        from=,import-from=$image
    fi
    words+=("--$1" "$2:0$from,$4")
}

# shellcheck shell=bash
# shellcheck disable=SC2034 # read by part/build and, exported, by inside.sh
# Guest (a) with stable names where virt-v2v 2.2 insists on them, for benchmarks against it: its initramfs still has
# no virtio and VMware's tools are still there. Owns what differs from bookworm-bios.
: "${lab:?}"

# shellcheck source=recipe/bookworm-bios/recipe.sh
source "$lab/recipe/bookworm-bios/recipe.sh"
uses+=("$lab/recipe/bookworm-bios")

hostname=bookworm-bios-friendly
address=10.0.2.79
mac=00:50:56:2a:77:03
bios_uuid='56 4d 1b 0e 5d 20 9c 41-8f 3a 6e 77 0c 54 be 03'
machine_id=8d2f6f0be57d4c0f9b3c1a7e55aa7703
root_uuid=3f0c1e52-9a54-4a57-8f61-6e2c9a0d7703
swap_uuid=0b7fd1c4-2a0e-4a86-a1c9-77e0d45b7704

fstab_root=UUID=$root_uuid
fstab_swap=UUID=$swap_uuid
resume=UUID=$swap_uuid
grub_disable_uuid=false
grub_says=$(grub_answers)

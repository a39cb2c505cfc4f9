//! Real command lines in the files that hold them.

use vmdk2kvm_plugin_api::model::{Action, KernelInfo};

use super::*;
use crate::fixture::{self, MapGuest};

fn run(grammar: Grammar, text: &str) -> (String, Vec<String>) {
    let context = fixture::context();
    let devices = Devices::new(&context.inspection.disks, Some(&context.vm));
    let mut arguments = Arguments::new(&devices, false);
    let out = grammar(text, &mut arguments);
    let mut again = Arguments::new(&devices, false);
    assert_eq!(grammar(&out, &mut again), out, "not idempotent");
    (out, arguments.unknown.into_iter().collect())
}

#[test]
fn default_grub() {
    let text = "GRUB_DEFAULT=0\n# root=/dev/sda1 in a comment\nGRUB_CMDLINE_LINUX_DEFAULT='quiet resume=/dev/sda5'\n\
        GRUB_CMDLINE_LINUX=\"console=ttyS0,115200 root=/dev/sda1 \\\n   resume=/dev/sda5 elevator=noop\"\n\
        GRUB_DISABLE_LINUX_UUID=true\nexport GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX root=/dev/sda1\" # why\nGRUB_TITLE=\"root=/dev/sda1\"\n";
    assert_eq!(
        run(default_grub::fix, text).0,
        "GRUB_DEFAULT=0\n# root=/dev/sda1 in a comment\nGRUB_CMDLINE_LINUX_DEFAULT='quiet resume=UUID=uuid-0-5'\n\
        GRUB_CMDLINE_LINUX=\"console=ttyS0,115200 root=UUID=uuid-0-1 \\\n   resume=UUID=uuid-0-5 elevator=noop\"\n\
        GRUB_DISABLE_LINUX_UUID=false\nexport GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX root=UUID=uuid-0-1\" # why\nGRUB_TITLE=\"root=/dev/sda1\"\n"
    );
    for text in [
        "GRUB_CMDLINE_LINUX=\"unclosed root=UUID=1\nX=1\n",
        "GRUB_CMDLINE_LINUX=",
        "",
        "=\n\\",
        "GRUB_DISABLE_LINUX_UUID=\"false\"\n",
    ] {
        assert_eq!(run(default_grub::fix, text).0, text);
    }
    // The quote that virt-v2v once lost.
    assert_eq!(
        run(default_grub::fix, "GRUB_CMDLINE_LINUX=\"ro root=/dev/sda1\"").0,
        "GRUB_CMDLINE_LINUX=\"ro root=UUID=uuid-0-1\""
    );
}

#[test]
fn grub_cfg_only_on_linux_lines() {
    let text = "set root='hd0,msdos1'\nsearch --no-floppy --fs-uuid --set=root --hint='hd0,msdos1' 1-2\n\
        menuentry 'Debian' --class debian {\n\tset root='hd0,msdos1'\n\tlinux\t/boot/vmlinuz-6.1 root=/dev/sda1 ro resume=/dev/sda5\n\
        \tinitrd\t/boot/initrd.img-6.1\n}\nset kernelopts=\"root=/dev/sda1 ro\"\n\
        \tlinux /vmlinuz root=/dev/mapper/vg-root rd.lvm.lv=vg/root noroot=/dev/sda1\n\tlinux16 /memtest root=/dev/sdz1\n# root=/dev/sda1\n";
    let (out, unknown) = run(grub_script::alone, text);
    assert_eq!(
        out,
        "set root='hd0,msdos1'\nsearch --no-floppy --fs-uuid --set=root --hint='hd0,msdos1' 1-2\n\
        menuentry 'Debian' --class debian {\n\tset root='hd0,msdos1'\n\tlinux\t/boot/vmlinuz-6.1 root=UUID=uuid-0-1 ro resume=UUID=uuid-0-5\n\
        \tinitrd\t/boot/initrd.img-6.1\n}\nset kernelopts=\"root=UUID=uuid-0-1 ro\"\n\
        \tlinux /vmlinuz root=/dev/mapper/vg-root rd.lvm.lv=vg/root noroot=/dev/sda1\n\tlinux16 /memtest root=/dev/sdz1\n# root=/dev/sda1\n"
    );
    assert_eq!(unknown, ["root=/dev/sdz1"]);
}

#[test]
fn other_loaders() {
    for (grammar, text, want) in [
        (loaders::whole as Grammar, "root=/dev/sda1 ro\n", "root=UUID=uuid-0-1 ro\n"),
        (
            loaders::whole,
            "root=\"/dev/sda1\" zfs root=ZFS=rpool/ROOT",
            "root=\"UUID=uuid-0-1\" zfs root=ZFS=rpool/ROOT",
        ),
        (loaders::whole, "cryptdevice=/dev/sda1:root:allow-discards", "cryptdevice=UUID=uuid-0-1:root:allow-discards"),
        (
            loaders::boot_entry,
            "title root=/dev/sda1\noptions root=/dev/sda1 $tuned_params\n",
            "title root=/dev/sda1\noptions root=UUID=uuid-0-1 $tuned_params\n",
        ),
        (
            loaders::menu_lst,
            "# kopt=root=/dev/sda1 ro\nroot (hd0,0)\nkernel /boot/vmlinuz root=/dev/sda1\n",
            "# kopt=root=UUID=uuid-0-1 ro\nroot (hd0,0)\nkernel /boot/vmlinuz root=UUID=uuid-0-1\n",
        ),
        (
            loaders::settings,
            "# root=/dev/sda1\nroot=/dev/sda1\ndefault_kernel_opts=\"quiet resume=/dev/sda5\"\nmodules=sd-mod,ext4\n",
            "# root=/dev/sda1\nroot=UUID=uuid-0-1\ndefault_kernel_opts=\"quiet resume=UUID=uuid-0-5\"\nmodules=sd-mod,ext4\n",
        ),
        (
            loaders::settings,
            "DEFAULT_APPEND=\"resume=/dev/sda5 splash=silent\"\nLOADER_TYPE=\"grub\"\n",
            "DEFAULT_APPEND=\"resume=UUID=uuid-0-5 splash=silent\"\nLOADER_TYPE=\"grub\"\n",
        ),
        (
            grub_script::alone,
            "set rootpartition=/dev/sda1\n    linux /$photon_linux root=$rootpartition $photon_cmdline\n",
            "set rootpartition=UUID=uuid-0-1\n    linux /$photon_linux root=$rootpartition $photon_cmdline\n",
        ),
        (
            loaders::dracut,
            "kernel_cmdline=\"rd.auto root=/dev/sda1\"\nadd_drivers+=\" root=/dev/sda1 \"\n",
            "kernel_cmdline=\"rd.auto root=UUID=uuid-0-1\"\nadd_drivers+=\" root=/dev/sda1 \"\n",
        ),
        (
            loaders::whole,
            "cryptopts=target=root,source=/dev/sda1,key=none,lvm=vg-root x=1,source=/dev/sda1",
            "cryptopts=target=root,source=UUID=uuid-0-1,key=none,lvm=vg-root x=1,source=/dev/sda1",
        ),
        (
            loaders::whole,
            "cryptopts=source=/dev/sda5 cryptopts=target=x",
            "cryptopts=source=UUID=uuid-0-5 cryptopts=target=x",
        ),
        (
            loaders::whole,
            "rd.luks.key=/key:/dev/sda5:UUID=1 rd.luks.key=/key rd.luks.key=1=/key:LABEL=usb rd.luks.uuid=1",
            "rd.luks.key=/key:UUID=uuid-0-5:UUID=1 rd.luks.key=/key rd.luks.key=1=/key:LABEL=usb rd.luks.uuid=1",
        ),
        (
            loaders::whole,
            "cryptroot=/dev/sda5 cryptdm=root cryptkey=/dev/sda1:ext4:/key cryptkey=rootfs:/key",
            "cryptroot=UUID=uuid-0-5 cryptdm=root cryptkey=UUID=uuid-0-1:ext4:/key cryptkey=rootfs:/key",
        ),
        (loaders::whole, "fips=1 boot=/dev/sda1 boot=live", "fips=1 boot=UUID=uuid-0-1 boot=live"),
        (
            loaders::syslinux,
            "  APPEND root=/dev/sda1\n  menu root=/dev/sda1",
            "  APPEND root=UUID=uuid-0-1\n  menu root=/dev/sda1",
        ),
    ] {
        assert_eq!(run(grammar, text).0, want);
    }
}

#[test]
fn the_environment_block_keeps_its_size() {
    let body = "# GRUB Environment Block\nsaved_entry=x\nkernelopts=root=/dev/sda1 ro\n";
    let text = format!("{body}{}", "#".repeat(1024 - body.len()));
    let (out, _) = run(loaders::grubenv, &text);
    assert_eq!(out.len(), 1024);
    assert!(out.contains("\nkernelopts=root=UUID=uuid-0-1 ro\n###"));
    assert_eq!(run(loaders::grubenv, body).0, body);
}

#[test]
fn without_an_initramfs_by_partition() {
    let mut context = fixture::context();
    context.inspection.kernels = vec![KernelInfo::new("4.4.0".to_owned())];
    let guest =
        MapGuest::new(&[("/etc/kernel/cmdline", "root=/dev/sda1"), ("/boot/grub/device.map", "(hd0)\t/dev/sda\n")]);
    let plan = CommandLine.plan(&context, &guest).unwrap();
    let Action::WriteFile { content, .. } = &plan.changes[0].action else { panic!() };
    assert_eq!(content.to_bytes().unwrap(), b"root=PARTUUID=part-0-1");
    assert_eq!(plan.changes[1].target, "/boot/grub/device.map");
    assert_eq!(plan.changes[1].action.kind(), "remove");
}

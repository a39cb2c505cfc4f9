//! Where the guest's own tool finds the drivers the next time it makes an initramfs.

use vmdk2kvm_plugin_api::model::{FixerPlan, InitramfsTool};
use vmdk2kvm_plugin_api::{Guest, Result};

use crate::textfile::{TextFile, Why, map_lines, put, with_lines};

const WHY: Why<'static> = Why {
    summary: "the next initramfs has virtio drivers",
    reason: "otherwise the next kernel update would make one without them",
    critical: false,
};

/// The guest's tool, by its configuration in `/etc` and its program.
pub(super) fn tool(guest: &dyn Guest) -> Result<Option<InitramfsTool>> {
    let etc: Vec<String> = guest.list("/etc")?.into_iter().flatten().map(|entry| entry.name).collect();
    let has = |name: &str| etc.iter().any(|own| own == name);
    let program =
        |names: [&str; 2]| -> Result<bool> { Ok(guest.stat(names[0])?.is_some() || guest.stat(names[1])?.is_some()) };
    for (there, names, tool) in [
        (
            has("initramfs-tools"),
            ["/usr/sbin/update-initramfs", "/usr/sbin/mkinitramfs"],
            InitramfsTool::InitramfsTools,
        ),
        (has("dracut.conf") || has("dracut.conf.d"), ["/usr/bin/dracut", "/sbin/dracut"], InitramfsTool::Dracut),
        (has("mkinitcpio.conf"), ["/usr/bin/mkinitcpio", "/sbin/mkinitcpio"], InitramfsTool::Mkinitcpio),
        (has("mkinitfs"), ["/sbin/mkinitfs", "/usr/sbin/mkinitfs"], InitramfsTool::Mkinitfs),
        (has("sysconfig"), ["/sbin/mkinitrd", "/usr/bin/mkinitrd"], InitramfsTool::Mkinitrd),
    ] {
        if there && program(names)? {
            return Ok(Some(tool));
        }
    }
    // Fedora and its kin configure dracut below /usr only.
    Ok(if program(["/usr/bin/dracut", "/sbin/dracut"])? { Some(InitramfsTool::Dracut) } else { None })
}

/// Where the tool puts a kernel's initramfs.
pub(super) fn default_path(tool: InitramfsTool, kernel: &str) -> String {
    match tool {
        InitramfsTool::InitramfsTools => format!("/boot/initrd.img-{kernel}"),
        InitramfsTool::Mkinitrd => format!("/boot/initrd-{kernel}"),
        InitramfsTool::Mkinitcpio => "/boot/initramfs-linux.img".to_owned(),
        InitramfsTool::Mkinitfs => format!("/boot/initramfs-{}", kernel.rsplit('-').next().unwrap_or(kernel)),
        _ => format!("/boot/initramfs-{kernel}.img"),
    }
}

/// Plans the configuration: always where the tool is told to take listed modules only, else when an initramfs lacks drivers.
pub(super) fn plan(
    tool: Option<InitramfsTool>,
    drivers: &[&str],
    lacking: bool,
    guest: &dyn Guest,
    plan: &mut FixerPlan,
) -> Result<()> {
    if drivers.is_empty() {
        return Ok(());
    }
    match tool {
        Some(InitramfsTool::InitramfsTools) => initramfs_tools(drivers, lacking, guest, plan),
        Some(InitramfsTool::Dracut) if lacking => dracut(drivers, guest, plan),
        Some(InitramfsTool::Mkinitcpio) if lacking => mkinitcpio(drivers, guest, plan),
        Some(InitramfsTool::Mkinitfs) if lacking => mkinitfs(guest, plan),
        Some(InitramfsTool::Mkinitrd) if lacking => mkinitrd(drivers, guest, plan),
        _ => Ok(()),
    }
}

fn initramfs_tools(drivers: &[&str], lacking: bool, guest: &dyn Guest, plan: &mut FixerPlan) -> Result<()> {
    let selective =
        TextFile::read(guest, "/etc/initramfs-tools/initramfs.conf", &mut plan.findings)?.is_some_and(|file| {
            let value = file.text.lines().filter_map(|line| line.trim().strip_prefix("MODULES=")).next_back();
            matches!(value.map(|value| value.trim_matches(['"', '\''])), Some("list" | "dep"))
        });
    if !selective && !lacking {
        return Ok(());
    }
    put(guest, "/etc/initramfs-tools/modules", WHY, plan, |text| {
        let listed: Vec<String> =
            text.lines().filter_map(|line| line.split_whitespace().next()).map(|name| name.replace('-', "_")).collect();
        with_lines(text, drivers.iter().copied().filter(|driver| !listed.iter().any(|own| own == driver)))
    })
}

/// dracut: a file of its own, and nobody may leave the drivers out.
fn dracut(drivers: &[&str], guest: &dyn Guest, plan: &mut FixerPlan) -> Result<()> {
    const FOLDER: &str = "/etc/dracut.conf.d";
    let mut paths = vec!["/etc/dracut.conf".to_owned()];
    for entry in guest.list(FOLDER)?.into_iter().flatten().filter(|entry| entry.name.ends_with(".conf")) {
        paths.push(format!("{FOLDER}/{}", entry.name));
    }
    for path in paths {
        let Some(file) = TextFile::read(guest, &path, &mut plan.findings)? else { continue };
        plan.changes.extend(file.rewrite(&map_lines(&file.text, |line| without_omitted(line, drivers)), WHY));
    }
    put(guest, &format!("{FOLDER}/90-vmdk2kvm.conf"), WHY, plan, |_| {
        format!("# Written by vmdk2kvm.\nadd_drivers+=\" {} \"\n", drivers.join(" "))
    })
}

/// A line of dracut's `omit_drivers` without these drivers.
fn without_omitted(line: &str, drivers: &[&str]) -> Option<String> {
    let (key, value) = line.split_once('=').filter(|(key, _)| key.trim().trim_end_matches('+') == "omit_drivers")?;
    let (before, list) = value.split_once('"')?;
    let (list, behind) = list.split_once('"')?;
    let kept: Vec<&str> =
        list.split_whitespace().filter(|name| !drivers.contains(&name.replace('-', "_").as_str())).collect();
    (kept.len() < list.split_whitespace().count()).then(|| format!("{key}={before}\" {} \"{behind}", kept.join(" ")))
}

/// Arch: the array `MODULES` of `mkinitcpio.conf`, which presets read even where they pass by the drop-ins.
fn mkinitcpio(drivers: &[&str], guest: &dyn Guest, plan: &mut FixerPlan) -> Result<()> {
    let Some(file) = TextFile::read(guest, "/etc/mkinitcpio.conf", &mut plan.findings)? else { return Ok(()) };
    let all: Vec<_> = file.lines().collect();
    let begins = |body: &str| body.strip_prefix("MODULES=").is_some_and(|value| value.starts_with(['(', '"']));
    let Some(first) = all.iter().rposition(|line| begins(line.body)) else {
        let line = format!("MODULES=({})", drivers.join(" "));
        plan.changes.extend(file.rewrite(&with_lines(&file.text, [line.as_str()]), WHY));
        return Ok(());
    };
    // The array may go on over lines.
    let mut listed: Vec<&str> = Vec::new();
    for line in &all[first..] {
        let body = line.body.split('#').next().unwrap_or_default();
        listed.extend(body.trim_start_matches("MODULES=").split(['(', ')', '"', ' ', '\t']));
        if body.trim_start_matches("MODULES=").trim_start_matches(['(', '"']).contains([')', '"']) {
            break;
        }
    }
    let missing: String =
        drivers.iter().filter(|driver| !listed.contains(driver)).map(|driver| format!("{driver} ")).collect();
    let mut text = String::with_capacity(file.text.len() + missing.len());
    for (at, line) in all.iter().enumerate() {
        let (head, rest) = line.body.split_at(if at == first { "MODULES=(".len() } else { 0 });
        text.push_str(head);
        if at == first {
            text.push_str(if rest.starts_with([')', '"']) { missing.trim_end() } else { &missing });
        }
        text.push_str(rest);
        text.push_str(line.ending);
    }
    plan.changes.extend(file.rewrite(&text, WHY));
    Ok(())
}

/// Alpine: the feature `virtio` of mkinitfs.
fn mkinitfs(guest: &dyn Guest, plan: &mut FixerPlan) -> Result<()> {
    add_words("/etc/mkinitfs/mkinitfs.conf", "features=\"", &["virtio"], guest, plan)
}

/// Old SUSE: `INITRD_MODULES` in `/etc/sysconfig/kernel`.
fn mkinitrd(drivers: &[&str], guest: &dyn Guest, plan: &mut FixerPlan) -> Result<()> {
    add_words("/etc/sysconfig/kernel", "INITRD_MODULES=\"", drivers, guest, plan)
}

/// Adds words to the quoted list behind `key`.
fn add_words(path: &str, key: &str, words: &[&str], guest: &dyn Guest, plan: &mut FixerPlan) -> Result<()> {
    let Some(file) = TextFile::read(guest, path, &mut plan.findings)? else { return Ok(()) };
    let text = map_lines(&file.text, |line| {
        let (list, rest) = line.strip_prefix(key)?.split_once('"')?;
        let mut list = list.to_owned();
        for word in words {
            if !list.split_whitespace().any(|own| own == *word) {
                list.push(' ');
                list.push_str(word);
            }
        }
        Some(format!("{key}{list}\"{rest}"))
    });
    plan.changes.extend(file.rewrite(&text, WHY));
    Ok(())
}

#[cfg(test)]
mod tests {
    use vmdk2kvm_plugin_api::model::{Action, InitramfsTool};

    use super::*;
    use crate::fixture::MapGuest;

    const DRIVERS: [&str; 2] = ["virtio_pci", "virtio_blk"];

    /// What the file at `path` becomes, and that it stays so.
    fn becomes(tool: InitramfsTool, path: &str, old: &str) -> String {
        let mut guest = MapGuest::new(&[(path, old)]);
        let mut first = FixerPlan::default();
        plan(Some(tool), &DRIVERS, true, &guest, &mut first).unwrap();
        for change in first.changes {
            let Action::WriteFile { content, .. } = change.action else { panic!() };
            guest.0.insert(change.target, content.to_bytes().unwrap());
        }
        let mut again = FixerPlan::default();
        plan(Some(tool), &DRIVERS, true, &guest, &mut again).unwrap();
        assert!(again.changes.is_empty(), "{path} is not stable");
        String::from_utf8(guest.0[path].clone()).unwrap()
    }

    #[test]
    fn every_tools_own_file() {
        for (tool, path, old, new) in [
            (
                InitramfsTool::Mkinitcpio,
                "/etc/mkinitcpio.conf",
                "# MODULES=(x)\nMODULES=()\nBINARIES=()\n",
                "# MODULES=(x)\nMODULES=(virtio_pci virtio_blk)\nBINARIES=()\n",
            ),
            (
                InitramfsTool::Mkinitcpio,
                "/etc/mkinitcpio.conf",
                "MODULES=(vmw_pvscsi # old\n  virtio_pci)\n",
                "MODULES=(virtio_blk vmw_pvscsi # old\n  virtio_pci)\n",
            ),
            (
                InitramfsTool::Mkinitcpio,
                "/etc/mkinitcpio.conf",
                "MODULES=\"ext4\"\n",
                "MODULES=\"virtio_pci virtio_blk ext4\"\n",
            ),
            (
                InitramfsTool::Mkinitcpio,
                "/etc/mkinitcpio.conf",
                "HOOKS=(base)",
                "HOOKS=(base)\nMODULES=(virtio_pci virtio_blk)\n",
            ),
            (
                InitramfsTool::Mkinitfs,
                "/etc/mkinitfs/mkinitfs.conf",
                "features=\"base ext4 scsi\"\n",
                "features=\"base ext4 scsi virtio\"\n",
            ),
            (
                InitramfsTool::Mkinitrd,
                "/etc/sysconfig/kernel",
                "INITRD_MODULES=\"mptspi virtio_pci\" # x\n",
                "INITRD_MODULES=\"mptspi virtio_pci virtio_blk\" # x\n",
            ),
            (
                InitramfsTool::Dracut,
                "/etc/dracut.conf.d/vm.conf",
                "omit_drivers+=\" nouveau virtio-blk \" # slim\nadd_drivers+=\" vmxnet3 \"\n",
                "omit_drivers+=\" nouveau \" # slim\nadd_drivers+=\" vmxnet3 \"\n",
            ),
        ] {
            assert_eq!(becomes(tool, path, old), new);
        }
    }
}

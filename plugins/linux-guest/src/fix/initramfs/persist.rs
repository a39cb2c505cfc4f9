//! Where the guest's own tool finds the drivers the next time it makes an initramfs.

use vmdk2kvm_plugin_api::model::{FixerPlan, InitramfsTool};
use vmdk2kvm_plugin_api::{Guest, Result};

use crate::textfile::{TextFile, Why, create};

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
        Some(InitramfsTool::Dracut) if lacking => {
            let text = format!("# Written by vmdk2kvm.\nadd_drivers+=\" {} \"\n", drivers.join(" "));
            drop_in("/etc/dracut.conf.d/90-vmdk2kvm.conf", &text, guest, plan)
        }
        Some(InitramfsTool::Mkinitcpio) if lacking => {
            let text = format!("# Written by vmdk2kvm.\nMODULES+=({})\n", drivers.join(" "));
            drop_in("/etc/mkinitcpio.conf.d/90-vmdk2kvm.conf", &text, guest, plan)
        }
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
    let path = "/etc/initramfs-tools/modules";
    let file = TextFile::read(guest, path, &mut plan.findings)?;
    let text = file.as_ref().map_or("", |file| file.text.as_str());
    let listed: Vec<String> =
        text.lines().filter_map(|line| line.split_whitespace().next()).map(|name| name.replace('-', "_")).collect();
    let missing: String = drivers
        .iter()
        .filter(|driver| !listed.iter().any(|own| own == *driver))
        .map(|driver| format!("{driver}\n"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let new = format!("{text}{gap}{missing}");
    match &file {
        Some(file) => plan.changes.extend(file.rewrite(&new, WHY)),
        None => plan.changes.push(create(path, &new, WHY)),
    }
    Ok(())
}

fn drop_in(path: &str, text: &str, guest: &dyn Guest, plan: &mut FixerPlan) -> Result<()> {
    match TextFile::read(guest, path, &mut plan.findings)? {
        Some(file) => plan.changes.extend(file.rewrite(text, WHY)),
        None => plan.changes.push(create(path, text, WHY)),
    }
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
    let text = crate::textfile::map_lines(&file.text, |line| {
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

//! Kernel modules as kmod's text indexes describe them: `modules.dep` and `modules.builtin` (depmod(8), modules.dep(5)).

use std::collections::{BTreeMap, BTreeSet};

/// The modules of a kernel.
#[derive(Debug, Clone, Default)]
pub(crate) struct ModuleIndex {
    /// By module name: the file and the files it depends on, all relative to `/lib/modules/KVER`, in the order that
    /// `modules.dep` names them (what must be loaded first comes last).
    modules: BTreeMap<String, (String, Vec<String>)>,
    built_in: BTreeSet<String>,
}

impl ModuleIndex {
    /// Parses `modules.dep` and `modules.builtin`. Lines that make no sense are skipped, as kmod does.
    pub fn parse(dep: &str, builtin: &str) -> Self {
        let modules = dep
            .lines()
            .filter_map(|line| {
                let (file, needs) = line.split_once(':')?;
                let needs = needs.split_whitespace().filter(|file| is_inside(file)).map(str::to_owned).collect();
                is_inside(file).then(|| (module_name(file), (file.to_owned(), needs)))
            })
            .collect();
        Self { modules, built_in: builtin.lines().filter(|line| !line.is_empty()).map(module_name).collect() }
    }

    /// Whether the driver is part of the kernel image.
    pub fn is_built_in(&self, driver: &str) -> bool {
        self.built_in.contains(driver)
    }

    /// Whether the kernel has the driver at all.
    pub fn has(&self, driver: &str) -> bool {
        self.modules.contains_key(driver) || self.is_built_in(driver)
    }

    /// The driver's file and all files it depends on; `None` when there is no such module.
    pub fn closure(&self, driver: &str) -> Option<impl Iterator<Item = &str>> {
        let (file, needs) = self.modules.get(driver)?;
        Some(std::iter::once(file.as_str()).chain(needs.iter().map(String::as_str)))
    }
}

/// The name of the module in a file: `kernel/drivers/block/virtio-blk.ko.xz` is `virtio_blk`.
pub(crate) fn module_name(file: &str) -> String {
    let base = file.rsplit('/').next().unwrap_or(file);
    let base = base
        .find(".ko")
        .filter(|at| matches!(&base[*at..], ".ko" | ".ko.gz" | ".ko.xz" | ".ko.zst"))
        .map_or(base, |at| &base[..at]);
    base.replace('-', "_")
}

/// Whether a name is that of a module's file.
pub(crate) fn is_module_file(name: &str) -> bool {
    [".ko", ".ko.gz", ".ko.xz", ".ko.zst"].iter().any(|suffix| name.ends_with(suffix))
}

/// A relative path that does not climb out of its folder.
fn is_inside(path: &str) -> bool {
    !path.is_empty() && !path.starts_with('/') && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_real_lines() {
        let index = ModuleIndex::parse(
            "kernel/drivers/block/virtio_blk.ko: kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko\n\
             kernel/drivers/virtio/virtio-pci.ko.xz: kernel/drivers/virtio/virtio.ko\n../../etc/passwd.ko:\nnonsense\n",
            "kernel/fs/ext4/ext4.ko\nkernel/drivers/virtio/virtio_mmio.ko\n",
        );
        assert_eq!(
            index.closure("virtio_blk").unwrap().collect::<Vec<_>>(),
            [
                "kernel/drivers/block/virtio_blk.ko",
                "kernel/drivers/virtio/virtio.ko",
                "kernel/drivers/virtio/virtio_ring.ko"
            ]
        );
        assert!(index.has("virtio_pci") && index.has("ext4") && index.is_built_in("virtio_mmio"));
        assert!(!index.has("passwd") && !index.has("nonsense"));
    }
}

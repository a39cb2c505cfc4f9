//! What an export left: a manifest whose every digest is checked, a descriptor that says which file is which disk, and the files. A name in them is hostile:
//! only plain names in the folder are files of it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use roxmltree::{Document, Node, ParsingOptions};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use vmdk2kvm_plugin_api::model::{Controller, Disk};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{Host, PluginError, Result};

/// The longest descriptor and manifest, in bytes.
const LONGEST: u64 = 16 << 20;
/// The most elements of a descriptor.
const NODES: u32 = 100_000;
/// So much is read at a time.
const PIECE: usize = 1 << 20;

/// The types of items (CIM_ResourceAllocationSettingData).
const IDE: &str = "5";
const SCSI: &str = "6";
const DISK: &str = "17";
const OTHER_STORAGE: &str = "20";

/// A disk of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Its file.
    pub file: String,
    /// Its size as the guest sees it, in bytes; `None`: in units that are not known here.
    pub capacity: Option<u64>,
    controller: Controller,
    bus: u32,
    unit: u32,
}

fn bad(why: impl Into<String>) -> PluginError {
    PluginError::io(format!("ovftool's export is incomplete: {}", why.into()))
        .hint("run the same command again; if it stays so, take another way (leave --transport out)")
}

/// A plain name of the folder.
fn plain(name: &str) -> Result<&str> {
    let is_plain = !name.is_empty() && !name.contains(['/', '\0']) && !matches!(name, "." | "..");
    if is_plain { Ok(name) } else { Err(bad(format!("'{}' is no name of a file in it", escape(name)))) }
}

fn text(path: &Path) -> Result<String> {
    let failed = |error: std::io::Error| PluginError::from_io(path.display(), &error);
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > LONGEST {
        return Err(bad(format!("{} has more than {LONGEST} bytes", path.display())));
    }
    String::from_utf8(bytes).map_err(|_| bad(format!("{} is not UTF-8", path.display())))
}

/// Checks every file that the manifest names, and that it names all that is needed.
pub fn verify(host: &Host, folder: &Path, stem: &str, needed: &[Packed]) -> Result<()> {
    let manifest = folder.join(format!("{stem}.mf"));
    if !manifest.is_file() {
        return Err(bad("it has no manifest"));
    }
    let mut checked = Vec::new();
    for line in text(&manifest)?.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let parts =
            line.split_once('(').and_then(|(kind, rest)| rest.rsplit_once(')').map(|(name, hex)| (kind, name, hex)));
        let Some((kind, name, hex)) = parts else {
            return Err(bad(format!("its manifest has the line '{}'", escape(line))));
        };
        let name = plain(name)?;
        let hex = hex.trim_start().trim_start_matches('=').trim().to_ascii_lowercase();
        let found = match kind.trim().to_ascii_uppercase().as_str() {
            "SHA256" => digest::<Sha256>(host, &folder.join(name))?,
            "SHA512" => digest::<Sha512>(host, &folder.join(name))?,
            "SHA1" => digest::<Sha1>(host, &folder.join(name))?,
            other => return Err(bad(format!("its manifest has digests of the kind '{}'", escape(other)))),
        };
        if found != hex {
            return Err(bad(format!("{} has another digest than its manifest says", escape(name))));
        }
        checked.push(name.to_owned());
    }
    let descriptor = format!("{stem}.ovf");
    let all = needed.iter().map(|disk| &disk.file).chain([&descriptor]);
    match all.into_iter().find(|name| !checked.contains(name)) {
        Some(missing) => Err(bad(format!("its manifest says nothing of {}", escape(missing)))),
        None => Ok(()),
    }
}

fn digest<D: Digest>(host: &Host, path: &Path) -> Result<String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut file = File::open(path).map_err(|_| bad(format!("{} is missing", escape(&name))))?;
    let (mut state, mut piece) = (D::new(), vec![0; PIECE]);
    loop {
        host.check_cancelled()?;
        match file.read(&mut piece).map_err(|error| PluginError::from_io(path.display(), &error))? {
            0 => break,
            read => state.update(&piece[..read]),
        }
    }
    Ok(state.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The disks of a package.
pub fn disks(folder: &Path, stem: &str) -> Result<Vec<Packed>> {
    let descriptor = folder.join(format!("{stem}.ovf"));
    if !descriptor.is_file() {
        return Err(bad(format!("{stem}.ovf is missing")));
    }
    parse(&text(&descriptor)?)
}

fn parse(text: &str) -> Result<Vec<Packed>> {
    let options = ParsingOptions { allow_dtd: false, nodes_limit: NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options)
        .map_err(|error| bad(format!("its descriptor is no XML: {error}")))?;
    let all = |name: &'static str| {
        document.descendants().filter(move |node| node.is_element() && node.tag_name().name() == name)
    };
    let items: Vec<Node> = all("Item").chain(all("StorageItem")).collect();
    let mut found = Vec::new();
    for item in items.iter().filter(|item| child(item, "ResourceType") == Some(DISK)) {
        let resource = child(item, "HostResource").unwrap_or_default();
        let id = resource.rsplit('/').next().unwrap_or_default();
        let disk = all("Disk").find(|disk| attribute(disk, "diskId") == Some(id));
        let reference = disk.as_ref().and_then(|disk| attribute(disk, "fileRef"));
        // A disk that holds nothing has no file.
        let Some((disk, reference)) = disk.zip(reference) else { continue };
        let file =
            all("File").find(|file| attribute(file, "id") == Some(reference)).and_then(|file| attribute(&file, "href"));
        let file = plain(file.ok_or_else(|| bad(format!("its descriptor names no file of {}", escape(id))))?)?;
        let parent = child(item, "Parent")
            .and_then(|parent| items.iter().find(|other| child(other, "InstanceID") == Some(parent)));
        let parent = parent.ok_or_else(|| bad(format!("its descriptor has no controller of {}", escape(id))))?;
        let number = |item: &Node, name| child(item, name).and_then(|text| text.parse().ok()).unwrap_or_default();
        found.push(Packed {
            file: file.to_owned(),
            capacity: capacity(&disk),
            controller: controller(parent),
            bus: number(parent, "Address"),
            unit: number(item, "AddressOnParent"),
        });
    }
    Ok(found)
}

fn child<'a>(node: &Node<'a, '_>, name: &str) -> Option<&'a str> {
    node.children().find(|child| child.tag_name().name() == name).and_then(|child| child.text()).map(str::trim)
}

fn attribute<'a>(node: &Node<'a, '_>, name: &str) -> Option<&'a str> {
    node.attributes().find(|attribute| attribute.name() == name).map(|attribute| attribute.value())
}

fn controller(item: &Node) -> Controller {
    match child(item, "ResourceType") {
        Some(IDE) => Controller::Ide,
        Some(SCSI) => Controller::Scsi,
        Some(OTHER_STORAGE)
            if child(item, "ResourceSubType").unwrap_or_default().to_ascii_lowercase().contains("nvme") =>
        {
            Controller::Nvme
        }
        Some(OTHER_STORAGE) => Controller::Sata,
        _ => Controller::Unknown,
    }
}

/// `capacity` in its units: `byte`, or `byte * 2^N`.
fn capacity(disk: &Node) -> Option<u64> {
    let number: u64 = attribute(disk, "capacity")?.parse().ok()?;
    let units = attribute(disk, "capacityAllocationUnits").unwrap_or("byte").replace(' ', "").to_ascii_lowercase();
    let shift: u32 = match units.as_str() {
        "byte" => 0,
        units => units.strip_prefix("byte*2^")?.parse().ok().filter(|shift| *shift < 60)?,
    };
    number.checked_mul(1 << shift)
}

/// The file of a disk.
pub fn choose<'a>(packed: &'a [Packed], disk: &Disk) -> Result<&'a Packed> {
    let is_it = |it: &&Packed| (it.controller, it.bus, it.unit) == (disk.controller, disk.bus, disk.unit);
    let found = packed
        .iter()
        .find(is_it)
        .ok_or_else(|| bad(format!("it has no disk at the place of {}", escape(&disk.name))))?;
    match found.capacity {
        Some(capacity) if capacity != disk.capacity_bytes => Err(PluginError::unusable(format!(
            "the exported disk {} has {capacity} bytes, and the VM's has {}",
            escape(&disk.name),
            disk.capacity_bytes
        ))
        .hint("the disk changed meanwhile: run the same command again")),
        _ => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OVF: &str = r#"<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="r">
      <References><File ovf:href="web-disk1.vmdk" ovf:id="file1"/><File ovf:href="web-disk2.vmdk" ovf:id="file2"/></References>
      <DiskSection><Disk ovf:capacity="16" ovf:capacityAllocationUnits="byte * 2^20" ovf:diskId="vmdisk1" ovf:fileRef="file1"/>
        <Disk ovf:capacity="4096" ovf:diskId="vmdisk2" ovf:fileRef="file2"/><Disk ovf:capacity="1" ovf:diskId="vmdisk3"/></DiskSection>
      <VirtualSystem><VirtualHardwareSection>
        <Item><rasd:Address>1</rasd:Address><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceType>6</rasd:ResourceType></Item>
        <Item><rasd:Address>0</rasd:Address><rasd:InstanceID>4</rasd:InstanceID><rasd:ResourceSubType>vmware.sata.ahci</rasd:ResourceSubType><rasd:ResourceType>20</rasd:ResourceType></Item>
        <Item><rasd:AddressOnParent>2</rasd:AddressOnParent><rasd:HostResource>ovf:/disk/vmdisk1</rasd:HostResource><rasd:InstanceID>7</rasd:InstanceID><rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>
        <Item><rasd:AddressOnParent>0</rasd:AddressOnParent><rasd:HostResource>ovf:/disk/vmdisk2</rasd:HostResource><rasd:InstanceID>8</rasd:InstanceID><rasd:Parent>4</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>
        <Item><rasd:AddressOnParent>1</rasd:AddressOnParent><rasd:HostResource>ovf:/disk/vmdisk3</rasd:HostResource><rasd:InstanceID>9</rasd:InstanceID><rasd:Parent>4</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>
      </VirtualHardwareSection></VirtualSystem></Envelope>"#;

    #[test]
    fn each_disk_finds_its_file() {
        let packed = parse(OVF).unwrap();
        assert_eq!(packed.len(), 2);
        let disk = |controller, bus, unit, capacity| {
            Disk::new("x", controller, bus, unit).with(|it| it.capacity_bytes = capacity)
        };
        assert_eq!(choose(&packed, &disk(Controller::Scsi, 1, 2, 16 << 20)).unwrap().file, "web-disk1.vmdk");
        assert_eq!(choose(&packed, &disk(Controller::Sata, 0, 0, 4096)).unwrap().file, "web-disk2.vmdk");
        let other = choose(&packed, &disk(Controller::Sata, 0, 0, 512)).unwrap_err();
        assert_eq!(other.message, "the exported disk x has 4096 bytes, and the VM's has 512");
        assert!(choose(&packed, &disk(Controller::Ide, 0, 0, 512)).is_err());
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        for name in ["../x.vmdk", "/etc/passwd", "..", "a/b", ""] {
            assert!(parse(&OVF.replace("web-disk1.vmdk", name)).is_err(), "{name}");
        }
        assert!(parse("<!DOCTYPE a><a/>").is_err());
    }
}

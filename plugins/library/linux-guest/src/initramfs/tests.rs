//! Archives as distributions lay them out, made here: microcode in front, one part per compression, archives appended.

use std::collections::BTreeMap;
use std::io::Write;

use vmdk2kvm_plugin_api::Result;
use vmdk2kvm_plugin_api::model::Content;

use super::cpio::Writer;
use super::*;

const KERNEL: &str = "6.1.0-37-amd64";

/// A `newc` archive of these files, each with its folders.
pub(crate) fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = Writer::new();
    for (path, data) in files {
        writer.file(path, data.as_bytes()).unwrap();
    }
    writer.finish().unwrap()
}

fn packed(method: Compression, data: &[u8]) -> Vec<u8> {
    match method {
        Compression::Gzip => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(data).unwrap();
            out.finish().unwrap()
        }
        Compression::Bzip2 => {
            let mut out = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            out.write_all(data).unwrap();
            out.finish().unwrap()
        }
        Compression::Zstd => zstd::encode_all(data, 1).unwrap(),
        Compression::Xz => {
            let mut out = liblzma::write::XzEncoder::new(Vec::new(), 1);
            out.write_all(data).unwrap();
            out.finish().unwrap()
        }
        Compression::Lzma => {
            let options = liblzma::stream::LzmaOptions::new_preset(1).unwrap();
            let stream = liblzma::stream::Stream::new_lzma_encoder(&options).unwrap();
            let mut out = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
            out.write_all(data).unwrap();
            out.finish().unwrap()
        }
        Compression::Lz4 => {
            let mut out = vec![0x02, 0x21, 0x4c, 0x18];
            for block in data.chunks(8 << 20) {
                let block = lz4_flex::block::compress(block);
                out.extend_from_slice(&(block.len() as u32).to_le_bytes());
                out.extend_from_slice(&block);
            }
            out
        }
        Compression::Lzo => lzop::tests::lzop(data, &["-9"]),
    }
}

/// A guest's `/lib/modules`.
struct Modules(BTreeMap<String, Vec<u8>>);

impl ModuleSource for Modules {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.0.get(path).cloned())
    }
}

fn modules() -> Modules {
    let dep = "kernel/drivers/block/virtio_blk.ko.xz: kernel/drivers/virtio/virtio_ring.ko.xz kernel/drivers/virtio/virtio.ko.xz\n\
               kernel/drivers/virtio/virtio.ko.xz:\n\
               kernel/drivers/virtio/virtio_ring.ko.xz: kernel/drivers/virtio/virtio.ko.xz\n\
               kernel/drivers/net/virtio_net.ko.xz: kernel/net/failover.ko.xz kernel/drivers/virtio/virtio.ko.xz\n\
               kernel/net/failover.ko.xz:\n\
               kernel/fs/ext4/ext4.ko.xz: kernel/fs/jbd2/jbd2.ko.xz\nkernel/fs/jbd2/jbd2.ko.xz:\n";
    let mut files = BTreeMap::new();
    for file in dep.lines().map(|line| line.split(':').next().unwrap()) {
        files.insert(format!("/lib/modules/{KERNEL}/{file}"), format!("the bytes of {file}").into_bytes());
    }
    files.insert(format!("/lib/modules/{KERNEL}/modules.dep"), dep.as_bytes().to_vec());
    files.insert(format!("/lib/modules/{KERNEL}/modules.builtin"), b"kernel/drivers/virtio/virtio_pci.ko\n".to_vec());
    files.insert(format!("/lib/modules/{KERNEL}/modules.alias.bin"), vec![1, 2, 3]);
    Modules(files)
}

/// What Debian's `MODULES=list` leaves: ext4 uncompressed, although the guest's file is compressed.
fn old() -> Vec<u8> {
    let mut writer = Writer::new();
    for folder in ["conf", "conf/conf.d", "usr", "usr/lib"] {
        writer.folder(folder).unwrap();
    }
    writer.symlink("lib", "usr/lib").unwrap();
    for (path, data) in [
        ("conf/conf.d/resume", "RESUME=/dev/sda5\n"),
        (&format!("usr/lib/modules/{KERNEL}/kernel/fs/ext4/ext4.ko")[..], "ext4"),
        (&format!("usr/lib/modules/{KERNEL}/kernel/fs/jbd2/jbd2.ko")[..], "jbd2"),
        (
            &format!("usr/lib/modules/{KERNEL}/modules.dep")[..],
            "kernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko\nkernel/fs/jbd2/jbd2.ko:\n",
        ),
        ("bin/big", &"x".repeat(200_000)),
    ] {
        writer.file(path, data.as_bytes()).unwrap();
    }
    writer.finish().unwrap()
}

const ALL: [Compression; 7] = [
    Compression::Gzip,
    Compression::Xz,
    Compression::Lzma,
    Compression::Zstd,
    Compression::Lz4,
    Compression::Bzip2,
    Compression::Lzo,
];

#[test]
fn reads_every_compression_behind_microcode() {
    for method in ALL {
        let mut image = archive(&[("kernel/x86/microcode/GenuineIntel.bin", "microcode")]);
        image.resize(image.len() + 1024, 0);
        image.extend_from_slice(&packed(method, &old()));
        let read = contents(&image).unwrap_or_else(|error| panic!("{method:?}: {error}"));
        assert_eq!(read.compression, [method]);
        assert!(read.has("kernel/x86/microcode/GenuineIntel.bin") && read.has("bin/big"), "{method:?}");
        assert_eq!(read.file("conf/conf.d/resume"), Some(&b"RESUME=/dev/sda5\n"[..]));
        assert!(has_driver(&read, KERNEL, "ext4") && !has_driver(&read, KERNEL, "virtio_blk"));
        assert!(!has_driver(&read, "6.1.0-38-amd64", "ext4"));
    }
}

#[test]
fn an_extension_is_found_behind_every_compression() {
    let drivers = ["virtio_pci", "virtio_blk", "virtio-net"].map(str::to_owned);
    let files = [("conf/conf.d/resume".to_owned(), Content::Text("RESUME=UUID=x\n".to_owned()))];
    for method in ALL {
        let mut image = packed(method, &old());
        let more = extension(&modules(), KERNEL, &drivers, &files, &image).unwrap();
        assert_eq!((image.len() + more.len()) % 512, 0);
        image.extend_from_slice(&more);
        let read = contents(&image).unwrap();
        assert_eq!(read.junk_at, None);
        for driver in ["virtio_blk", "virtio_net", "virtio", "virtio_ring", "failover", "ext4", "virtio_pci"] {
            assert!(has_driver(&read, KERNEL, driver), "{method:?} {driver}");
        }
        assert!(read.has(&format!("usr/lib/modules/{KERNEL}/kernel/drivers/block/virtio_blk.ko.xz")));
        assert_eq!(read.file("conf/conf.d/resume"), Some(&b"RESUME=UUID=x\n"[..]));
        let dep = String::from_utf8(read.file(&format!("lib/modules/{KERNEL}/modules.dep")).unwrap().to_vec()).unwrap();
        // The new indexes name the files that are really there.
        assert!(dep.contains("kernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko\n"), "{dep}");
        assert!(dep.contains(
            "kernel/drivers/net/virtio_net.ko.xz: kernel/net/failover.ko.xz kernel/drivers/virtio/virtio.ko.xz\n"
        ));
        // Nothing is left to do, and the same input gives the same bytes.
        assert!(extension(&modules(), KERNEL, &drivers, &files, &image).unwrap().is_empty());
        assert_eq!(extension(&modules(), KERNEL, &drivers, &files, &packed(method, &old())).unwrap(), more);
    }
}

#[test]
fn says_what_is_wrong() {
    let error = |image: &[u8]| contents(image).unwrap_err().message;
    assert_eq!(error(b"nothing of the kind"), "the initramfs is damaged: it does not begin like a known format");
    let gzip = packed(Compression::Gzip, &old());
    assert!(error(&gzip[..gzip.len() / 2]).starts_with("the initramfs is damaged: "));
    assert!(error(&old()[..300]).contains("ends too early"));
    let mut evil = archive(&[("a", "b")]);
    evil[54..62].copy_from_slice(b"FFFFFFFF");
    assert!(error(&evil).contains("larger than 1024 MiB, the limit"), "{}", error(&evil));
    let missing = extension(&modules(), KERNEL, &["virtio_scsi".to_owned()], &[], &gzip).unwrap_err();
    assert_eq!(missing.message, format!("kernel {KERNEL} has no module virtio_scsi"));
    let junk = [gzip, b"signature".to_vec()].concat();
    assert!(contents(&junk).unwrap().junk_at.is_some());
    assert!(
        extension(&modules(), KERNEL, &["virtio_blk".to_owned()], &[], &junk)
            .unwrap_err()
            .message
            .contains("stops reading")
    );
}

#[test]
fn nothing_that_is_cut_or_bent_panics() {
    let image = packed(Compression::Gzip, &old());
    let plain = old();
    for image in [&image, &plain] {
        for at in (0..image.len().min(4000)).step_by(7) {
            let _ = contents(&image[..at]);
            let mut bent = image.to_vec();
            bent[at] ^= 0x55;
            let _ = contents(&bent);
        }
    }
}

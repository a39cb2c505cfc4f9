//! Images made by QEMU, read as QEMU reads them. Requires: qemu-img and qemu-io (Debian: qemu-utils).

use std::path::Path;
use std::process::Command;

use crate::files::Files;

const MIB: u64 = 1 << 20;

struct Lab {
    dir: tempfile::TempDir,
    seed: u64,
}

impl Lab {
    fn new(seed: u64) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), seed }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A program of QEMU, in the lab's folder.
    fn run(&self, program: &str, arguments: &[&str]) {
        let done = Command::new(program).args(arguments).current_dir(self.path()).output();
        let done = done.unwrap_or_else(|error| panic!("{program} (Debian package qemu-utils): {error}"));
        assert!(done.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn img(&self, arguments: &str) {
        self.run("qemu-img", &arguments.split_whitespace().collect::<Vec<_>>());
    }

    /// xorshift64: the same writes on every run.
    fn random(&mut self, below: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % below
    }

    /// `count` random writes, zero writes and discards on an image of `size` bytes.
    fn scribble(&mut self, image: &str, size: u64, count: u32) {
        let mut arguments =
            vec!["-t".to_owned(), "unsafe".into(), "-d".into(), "unmap".into(), "-f".into(), "qcow2".into()];
        for _ in 0..count {
            let offset = self.random(size / 512) * 512;
            let most = (size - offset).min(300 << 10);
            let length = (self.random(most / 512) + 1) * 512;
            let verb = match self.random(6) {
                0 => "write -z".to_owned(),
                1 => "write -z -u".to_owned(),
                2 => "discard".to_owned(),
                _ => format!("write -P {}", self.random(255) + 1),
            };
            arguments.extend(["-c".to_owned(), format!("{verb} {offset} {length}")]);
        }
        arguments.push(image.into());
        self.run("qemu-io", &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// Our reading of the chain below `top` is QEMU's.
    fn compare(&self, top: &str) -> vmdk2kvm_plugin_api::model::ChainReport {
        let expected = self.path().with_extension("raw");
        self.run("qemu-img", &["convert", "-t", "unsafe", "-f", "qcow2", "-O", "raw", top, expected.to_str().unwrap()]);
        let expected = std::fs::read(&expected).unwrap();
        let files = Files::of(self.path());
        let mut report = None;
        // Whole clusters, and pieces that begin and end inside of them.
        for piece in [1 << 20, 12_345] {
            let (content, of) = files.content(top, piece).unwrap();
            assert_eq!(content.len(), expected.len());
            let differs = content.iter().zip(&expected).position(|(ours, theirs)| ours != theirs);
            assert_eq!(differs, None, "{top} in pieces of {piece}");
            report = Some(of);
        }
        report.unwrap()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.path().with_extension("raw"));
    }
}

#[test]
fn every_cluster_size_and_version() {
    for (seed, options) in [
        (1, "compat=0.10,cluster_size=512"),
        (2, "compat=1.1,cluster_size=512"),
        (3, "compat=0.10,cluster_size=65536"),
        (4, "compat=1.1,cluster_size=4096"),
        (5, "compat=1.1,cluster_size=65536"),
        (6, "compat=1.1,cluster_size=2097152"),
        (7, "compat=1.1,cluster_size=65536,lazy_refcounts=on,refcount_bits=1"),
        (8, "compat=1.1,cluster_size=16384,extended_l2=on"),
        (9, "compat=1.1,cluster_size=131072,extended_l2=on"),
        (10, "compat=1.1,cluster_size=2097152,extended_l2=on"),
        (11, "compat=1.1,cluster_size=65536,preallocation=metadata"),
        (12, "compat=1.1,cluster_size=65536,extended_l2=on,preallocation=metadata"),
    ] {
        let mut lab = Lab::new(seed);
        // Not a whole number of clusters.
        let size = 5 * MIB + 512 * 7;
        lab.img(&format!("create -q -f qcow2 -o {options} a.qcow2 {size}"));
        lab.compare("a.qcow2");
        lab.scribble("a.qcow2", size, 60);
        let report = lab.compare("a.qcow2");
        assert_eq!((report.links.len(), report.capacity_bytes), (1, size));
        let version = if options.contains("0.10") { "qcow2/v2" } else { "qcow2/v3" };
        assert_eq!(report.links[0].format, version);
    }
}

#[test]
fn compressed_images_of_both_kinds() {
    for (seed, options) in [
        (21, "cluster_size=512,compression_type=zlib"),
        (22, "cluster_size=65536,compression_type=zlib"),
        (23, "cluster_size=65536,compression_type=zstd"),
        (24, "cluster_size=2097152,compression_type=zstd"),
        (25, "cluster_size=65536,extended_l2=on,compression_type=zstd"),
        (26, "compat=0.10,cluster_size=65536"),
    ] {
        let mut lab = Lab::new(seed);
        let size = 6 * MIB;
        lab.img(&format!("create -q -f qcow2 plain.qcow2 {size}"));
        lab.scribble("plain.qcow2", size, 60);
        lab.img(&format!("convert -t unsafe -c -f qcow2 -O qcow2 -o {options} plain.qcow2 a.qcow2"));
        lab.compare("a.qcow2");
        // Compressed and plain clusters side by side.
        lab.scribble("a.qcow2", size, 20);
        lab.compare("a.qcow2");
    }
}

#[test]
fn backing_chains_of_differing_sizes_and_kinds() {
    let mut lab = Lab::new(31);
    let base: Vec<u8> = (0..3 * MIB + 512).map(|n| (n / 512 % 251 + 1) as u8).collect();
    std::fs::write(lab.path().join("base.img"), base).unwrap();
    lab.img("create -q -f qcow2 -F raw -b base.img -o cluster_size=4096 one.qcow2 5M");
    lab.scribble("one.qcow2", 5 * MIB, 30);
    // Shorter than its backing file, then longer again: what was cut off must not come back.
    lab.img("create -q -f qcow2 -F qcow2 -b one.qcow2 -o compat=0.10 two.qcow2 2M");
    lab.scribble("two.qcow2", 2 * MIB, 10);
    lab.img("create -q -f qcow2 -F qcow2 -b ./two.qcow2 -o extended_l2=on three.qcow2 7M");
    lab.scribble("three.qcow2", 7 * MIB, 30);
    for (top, links) in [("one.qcow2", 2), ("two.qcow2", 3), ("three.qcow2", 4)] {
        let report = lab.compare(top);
        assert_eq!(report.links.len(), links);
    }
    let report = lab.compare("three.qcow2");
    let objects: Vec<_> = report.links.iter().map(|link| (link.object.as_str(), link.format.as_str())).collect();
    assert_eq!(
        objects,
        [("three.qcow2", "qcow2/v3"), ("two.qcow2", "qcow2/v2"), ("one.qcow2", "qcow2/v3"), ("base.img", "raw")]
    );
    assert!(report.warnings.is_empty());
}

#[test]
fn internal_snapshots_are_told_and_left_behind() {
    let mut lab = Lab::new(41);
    lab.img("create -q -f qcow2 a.qcow2 4M");
    lab.scribble("a.qcow2", 4 * MIB, 10);
    lab.img("snapshot -c before a.qcow2");
    lab.scribble("a.qcow2", 4 * MIB, 10);
    let report = lab.compare("a.qcow2");
    assert_eq!(report.warnings, ["a.qcow2: 1 internal snapshots are left behind; only the current state is read"]);
}

#[test]
fn what_qemu_makes_and_we_refuse() {
    let lab = Lab::new(51);
    lab.img("create -q -f qcow2 -o data_file=data.raw external.qcow2 1M");
    lab.img("create -q -f vmdk base.vmdk 1M");
    lab.img("create -q -f qcow2 -F vmdk -b base.vmdk foreign.qcow2");
    lab.img("create -q -f qcow old.qcow 1M");
    lab.img("create -q -f qcow2 base.qcow2 1M");
    lab.img("create -q -f qcow2 -u -F raw -b nbd://localhost/x protocol.qcow2 1M");
    lab.img("create -q -f qcow2 -u -F qcow2 -b /etc/passwd outside.qcow2 1M");
    lab.img("create -q -f qcow2 -u -F qcow2 -b round.qcow2 loop.qcow2 1M");
    lab.img("create -q -f qcow2 -u -F qcow2 -b loop.qcow2 round.qcow2 1M");
    let files = Files::of(lab.path());
    for (top, expected) in [
        ("external.qcow2", "external.qcow2: the image keeps its data in another file, which is not supported"),
        ("foreign.qcow2", "foreign.qcow2: its backing file 'base.vmdk' has format 'vmdk'; qcow2 and raw are read"),
        ("old.qcow", "old.qcow: QCOW version 1; versions 2 and 3 are read"),
        ("protocol.qcow2", "protocol.qcow2: its backing file 'nbd://localhost/x' is a protocol's address, not a file"),
        ("outside.qcow2", "outside.qcow2: the name '/etc/passwd' is refused"),
        ("loop.qcow2", "loop.qcow2: the backing chain comes back to this file"),
        ("base.vmdk", "base.vmdk: it does not begin like a QCOW2 image"),
        ("nothing", "nothing: there is no such file"),
    ] {
        let error = files.flatten(top).err().unwrap();
        assert_eq!(error.message, expected);
        assert_eq!(error.kind, vmdk2kvm_plugin_api::ErrorKind::Unusable);
    }
}

#[test]
fn an_empty_petabyte_is_one_hole_at_once() {
    let lab = Lab::new(61);
    lab.img("create -q -f qcow2 -o cluster_size=2M a.qcow2 1024T");
    let flat = Files::of(lab.path()).flatten("a.qcow2").unwrap();
    let begin = std::time::Instant::now();
    let extents = flat.source.extents(0, flat.source.size()).unwrap();
    assert_eq!(extents.len(), 1);
    assert!(begin.elapsed().as_secs() < 2, "{:?}", begin.elapsed());
}

//! Cloud bundles: archives of bare disks, sparse ones too, with an archive inside.

use crate::documents::{disk, noise};
use crate::support::Lab;

/// Name, and format and content of every disk.
fn look(lab: &Lab, name: &str) -> (String, Vec<(String, Vec<u8>)>) {
    let vm = lab.describe(name, None).unwrap_or_else(|error| panic!("{name}: {error}"));
    let formats = vm.disks.iter().map(|disk| disk.ways[0].format.clone());
    let contents = lab.contents(name).unwrap().into_iter().map(Option::unwrap);
    (vm.name, formats.zip(contents).collect())
}

fn raw(seed: u64) -> Vec<u8> {
    let mut content = noise(seed, 512 * 300);
    content[510..512].copy_from_slice(b"\x55\xaa");
    content
}

#[test]
fn archives_of_disks_are_machines_named_by_the_archive() {
    let lab = Lab::new();
    lab.file("in/disk.raw", raw(1)).file("in/manifest.json", "{}").file("in/._disk.raw", "notes");
    lab.run("in", "tar -czf ../cloud.tar.gz .")
        .run("in", "tar -cf ../cloud.tar .")
        .run("in", "zip -q ../cloud.zip disk.raw manifest.json");
    for name in ["cloud.tar.gz", "cloud.tar", "cloud.zip"] {
        assert_eq!(look(&lab, name), ("cloud".into(), vec![("raw".into(), raw(1))]), "{name}");
    }
    lab.file("in/data.vmdk", disk(2)).run("in", "tar -cJf ../two.tar.xz .");
    assert_eq!(look(&lab, "two.tar.xz"), ("two".into(), vec![("vmdk".into(), disk(2)), ("raw".into(), raw(1))]));
}

#[test]
fn one_level_of_nesting_is_looked_into() {
    let lab = Lab::new();
    lab.file("in/disk.raw", raw(1))
        .run("in", "tar -czf ../outer/image.tar.gz disk.raw".replace("../outer/", "../").as_str());
    lab.run(".", "gzip -nk in/disk.raw").file("metadata.json", "{}");
    lab.run(".", "tar -cf bundle.tar image.tar.gz metadata.json").run("in", "tar -cf ../single.tar disk.raw.gz");
    for name in ["bundle.tar", "single.tar"] {
        assert_eq!(look(&lab, name).1, [("raw".into(), raw(1))], "{name}");
    }
    lab.run(".", "tar -cf deeper.tar bundle.tar");
    assert_eq!(
        lab.refusal("deeper.tar"),
        (65, "DIR/deeper.tar/bundle.tar: an archive in an archive in an archive; one in another is read".into())
    );
    // One archive in a folder is what the folder is about.
    lab.run(".", "mkdir alone").run(".", "cp bundle.tar alone/");
    assert_eq!(look(&lab, "alone").1, [("raw".into(), raw(1))]);
}

#[test]
fn a_compressed_disk_is_a_disk() {
    let lab = Lab::new();
    lab.file("web.raw", raw(1)).file("web.img", raw(2)).run(".", "gzip -nk web.raw").run(".", "xz -k web.img");
    assert_eq!(look(&lab, "web.raw.gz"), ("web.raw".into(), vec![("raw".into(), raw(1))]));
    assert_eq!(look(&lab, "web.img.xz"), ("web.img".into(), vec![("raw".into(), raw(2))]));
    // A guest that writes the header of a tar into its first sector does not turn its disk into an archive.
    lab.file("inner/secret.raw", raw(3)).run("inner", "tar -cf ../trap.raw secret.raw").run(".", "gzip -n trap.raw");
    let (_, disks) = look(&lab, "trap.raw.gz");
    assert_eq!((disks.len(), disks[0].0.as_str(), disks[0].1.len() % 10_240), (1, "raw", 0));
}

#[test]
fn sparse_members_of_every_dialect_read_as_they_were() {
    let lab = Lab::new();
    let path = lab.root().join("disk.raw");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(32 << 20).unwrap();
    use std::os::unix::fs::FileExt;
    // Enough pieces for the map to need blocks of its own, and a hole at the end.
    for piece in 0..60_u64 {
        file.write_all_at(&noise(piece, 4096), piece * 300_000 / 4096 * 4096).unwrap();
    }
    let expected = std::fs::read(&path).unwrap();
    for options in ["--format=oldgnu", "--format=gnu", "--format=posix", "--format=posix --sparse-version=0.1"] {
        lab.run(".", &format!("tar {options} -Scf sparse.tar disk.raw"));
        assert!(lab.read("sparse.tar").len() < 1 << 20, "{options}: it is not sparse");
        assert!(lab.contents("sparse.tar").unwrap() == [Some(expected.clone())], "{options}");
    }
    lab.run(".", "tar --format=gnu -Sczf sparse.tar.gz disk.raw");
    assert!(lab.contents("sparse.tar.gz").unwrap() == [Some(expected)]);
}

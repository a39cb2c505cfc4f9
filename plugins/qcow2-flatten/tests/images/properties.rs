//! Random chains against a model, and random damage against the promise that nothing panics.

use crate::builder::{Cluster, Image};
use crate::files::Files;
use proptest::prelude::*;

const SIZE: u64 = 1 << 18;

fn cluster(version: u32, extended: bool) -> BoxedStrategy<Cluster> {
    let mut kinds = vec![
        Just(Cluster::Nowhere).boxed(),
        any::<u8>().prop_map(Cluster::Plain).boxed(),
        any::<u8>().prop_map(Cluster::Deflated).boxed(),
    ];
    if version >= 3 {
        kinds.push(Just(Cluster::Zero).boxed());
    }
    if extended {
        kinds.push(
            any::<(u8, u32, u32)>().prop_map(|(byte, allocated, zero)| Cluster::Sub(byte, allocated, zero)).boxed(),
        );
    }
    proptest::strategy::Union::new(kinds).boxed()
}

fn image() -> impl Strategy<Value = Image> {
    (2u32..=3, 9u32..=16, any::<bool>(), 1u64..=SIZE / 512).prop_flat_map(|(version, bits, extended, sectors)| {
        let extended = extended && version == 3 && bits >= 14;
        let size = sectors * 512;
        let most = size.div_ceil(1 << bits) as usize;
        proptest::collection::vec(cluster(version, extended), 0..=most).prop_map(move |clusters| Image {
            version,
            cluster_bits: bits,
            extended,
            size,
            clusters,
            backing: None,
        })
    })
}

/// A chain on a raw file: files by name, topmost `0`, and what the guest sees.
fn chain(images: Vec<Image>, raw: Vec<u8>) -> (Files, Vec<u8>) {
    let last = images.len();
    let mut files = Files::default().with(&last.to_string(), raw.clone());
    let mut disk = raw;
    for (number, mut image) in images.into_iter().enumerate().rev() {
        let format = if number + 1 == last { "raw" } else { "qcow2" };
        image.backing = Some(((number + 1).to_string(), Some(format.into())));
        disk.truncate(image.size as usize);
        disk = image.model(&disk);
        files = files.with(&number.to_string(), image.build());
    }
    (files, disk)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn chains_read_as_their_model(images in proptest::collection::vec(image(), 1..4),
                                  raw in proptest::collection::vec(any::<u8>(), 0..200_000),
                                  piece in 1usize..100_000) {
        let (files, disk) = chain(images, raw);
        let (content, _) = files.content("0", piece.max(disk.len() / 200)).unwrap();
        prop_assert!(content == disk);
    }

    #[test]
    fn damage_is_an_error_or_other_bytes_and_never_a_panic(image in image(), at in 0usize..4096, table in any::<bool>(),
                                                           noise in proptest::collection::vec(any::<u8>(), 1..16),
                                                           cut in any::<Option<u16>>()) {
        let mut bytes = image.build();
        // In the header, or somewhere in the tables behind it.
        let start = if table { image.cluster() as usize } else { 0 };
        let at = (start + at).min(bytes.len() - 1);
        for (byte, noise) in bytes[at..].iter_mut().zip(noise) {
            *byte = noise;
        }
        if let Some(cut) = cut {
            bytes.truncate(usize::from(cut));
        }
        let files = Files::default().with("a", bytes);
        if let Ok(flat) = files.flatten("a") {
            if flat.source.size() < SIZE * 4 {
                let _ = files.content("a", 5000);
            } else {
                let mut buffer = vec![0; 5000];
                let _ = flat.source.read_at(0, &mut buffer);
                let _ = flat.source.extents(0, flat.source.size().min(1 << 40));
            }
        }
    }
}

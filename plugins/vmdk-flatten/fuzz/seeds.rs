//! Writes the seed corpus: `corpus/TARGET/N` beside this file, whole files of every format.

use std::path::Path;

use targets::Sample;

fn main() -> std::io::Result<()> {
    for sample in Sample::ALL {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name(sample));
        std::fs::create_dir_all(&folder)?;
        for (number, seed) in sample.seeds().iter().enumerate() {
            std::fs::write(folder.join(number.to_string()), seed)?;
        }
    }
    Ok(())
}

/// The name of the target that this sample is for.
fn name(sample: Sample) -> &'static str {
    match sample {
        Sample::Descriptor => "descriptor",
        Sample::Sparse => "sparse",
        Sample::Stream => "stream",
        Sample::Cowd => "cowd",
        Sample::SeSparse => "se_sparse",
    }
}

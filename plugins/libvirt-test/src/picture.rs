//! A picture of the screen as libvirt gives it: PNG, or PPM of older ones.

use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{PluginError, Result};

/// Larger pictures are not taken, in bytes of colours.
const LARGEST: usize = 8192 * 8192 * 3;

/// The picture as a binary PPM of 8 bits.
pub fn as_ppm(kind: &str, bytes: Vec<u8>) -> Result<Vec<u8>> {
    match kind {
        "image/x-portable-pixmap" => Ok(bytes),
        "image/png" => from_png(&bytes).map_err(|error| PluginError::io(format!("the picture of the screen: {error}"))),
        other => Err(PluginError::io(format!("the picture of the screen is of the kind {}", escape(other)))),
    }
}

fn from_png(bytes: &[u8]) -> std::result::Result<Vec<u8>, png::DecodingError> {
    let mut decoder = png::Decoder::new_with_limits(bytes, png::Limits { bytes: LARGEST });
    decoder.set_transformations(png::Transformations::normalize_to_color8() | png::Transformations::STRIP_16);
    let mut reader = decoder.read_info()?;
    let size = reader.output_buffer_size();
    if size > LARGEST / 3 * 4 {
        return Err(png::DecodingError::LimitsExceeded);
    }
    let mut pixels = vec![0; size];
    let info = reader.next_frame(&mut pixels)?;
    pixels.truncate(info.buffer_size());
    let mut ppm = format!("P6\n{} {}\n255\n", info.width, info.height).into_bytes();
    let samples = info.color_type.samples();
    for pixel in pixels.chunks_exact(samples) {
        // One or two samples are grey, three or four are colours; the last of an even number is how opaque it is.
        let colours = if samples < 3 { [pixel[0]; 3] } else { [pixel[0], pixel[1], pixel[2]] };
        ppm.extend_from_slice(&colours);
    }
    Ok(ppm)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(colour: png::ColorType, pixels: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 2, 1);
        encoder.set_color(colour);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.write_header().unwrap().write_image_data(pixels).unwrap();
        bytes
    }

    #[test]
    fn every_kind_becomes_colours_of_eight_bits() {
        let expected = b"P6\n2 1\n255\nabcdef".to_vec();
        assert_eq!(as_ppm("image/png", png(png::ColorType::Rgb, b"abcdef")).unwrap(), expected);
        assert_eq!(as_ppm("image/png", png(png::ColorType::Rgba, b"abc\xffdef\xff")).unwrap(), expected);
        assert_eq!(as_ppm("image/png", png(png::ColorType::Grayscale, b"ab")).unwrap(), b"P6\n2 1\n255\naaabbb");
        assert_eq!(as_ppm("image/x-portable-pixmap", expected.clone()).unwrap(), expected);
        for (kind, bytes) in [("image/png", &b"no"[..]), ("text/\u{1b}", b"")] {
            let refused = as_ppm(kind, bytes.to_vec()).unwrap_err();
            assert!(!refused.message.contains('\u{1b}'), "{}", refused.message);
        }
    }
}

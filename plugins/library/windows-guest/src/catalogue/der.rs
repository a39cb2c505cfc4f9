//! A walk over DER: tags, lengths, bodies. Nothing is copied, nothing recurses.
//!
//! An own one, since the maintained crates for signed messages decode each certificate and attribute of one strictly, and refuse the whole
//! catalogue for an odd serial number or an unsorted set in a certificate that nobody asks about; and none of them knows the list inside.

pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTETS: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const UTF8: u8 = 0x0c;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const TIME: u8 = 0x18;
pub(super) const BMP: u8 = 0x1e;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
/// `[0]` and `[1]`, constructed.
pub(super) const CONTEXT_0: u8 = 0xa0;
pub(super) const CONTEXT_1: u8 = 0xa1;

/// A tag and its body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element<'a> {
    pub tag: u8,
    pub body: &'a [u8],
}

impl<'a> Element<'a> {
    /// The elements in it.
    pub fn inside(&self) -> Der<'a> {
        Der(self.body)
    }
}

/// What is left of a row of elements.
#[derive(Debug, Clone, Copy)]
pub(super) struct Der<'a>(pub &'a [u8]);

impl<'a> Der<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next element, whatever it is.
    pub fn any(&mut self) -> Result<Element<'a>, String> {
        let [tag, first, rest @ ..] = self.0 else { return Err("its DER ends early".to_owned()) };
        if tag & 0x1f == 0x1f {
            return Err(format!("its DER has a tag of several bytes ({tag:02x})"));
        }
        let (length, rest) = match usize::from(*first) {
            short @ 0..=0x7f => (short, rest),
            long @ 0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(long - 0x80).ok_or("its DER ends early")?;
                (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
            _ => return Err(format!("its DER has a length of an unknown form ({first:02x})")),
        };
        let (body, rest) = rest.split_at_checked(length).ok_or("its DER ends early")?;
        self.0 = rest;
        Ok(Element { tag: *tag, body })
    }

    /// The next element, which must have this tag.
    pub fn one(&mut self, tag: u8) -> Result<Element<'a>, String> {
        let element = self.any()?;
        match element.tag == tag {
            true => Ok(element),
            false => Err(format!("its DER has a tag {:02x} where {tag:02x} is due", element.tag)),
        }
    }

    /// The next element if it has this tag.
    pub fn maybe(&mut self, tag: u8) -> Result<Option<Element<'a>>, String> {
        match self.0.first() == Some(&tag) {
            true => self.any().map(Some),
            false => Ok(None),
        }
    }
}

impl<'a> Iterator for Der<'a> {
    type Item = Result<Element<'a>, String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_empty() {
            return None;
        }
        let next = self.any();
        if next.is_err() {
            self.0 = &[];
        }
        Some(next)
    }
}

/// The text of a string of any of the usual types; letters that it cannot hold are replaced.
pub(super) fn text(element: &Element) -> String {
    match element.tag {
        BMP => encoding_rs::UTF_16BE.decode_without_bom_handling(element.body).0.into_owned(),
        UTF8 => String::from_utf8_lossy(element.body).into_owned(),
        _ => encoding_rs::WINDOWS_1252.decode_without_bom_handling(element.body).0.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_every_form() {
        for (bytes, body) in [
            (vec![4, 1, 7], Ok(1)),
            (vec![4, 0x81, 1, 7], Ok(1)),
            (vec![4, 0x84, 0, 0, 0, 2, 7, 7], Ok(2)),
            ([vec![4, 0x82, 1, 0], vec![0; 256]].concat(), Ok(256)),
            (vec![4, 2, 7], Err("ends early")),
            (vec![4, 0x82, 1], Err("ends early")),
            (vec![4], Err("ends early")),
            (vec![4, 0x84, 0xff, 0xff, 0xff, 0xff], Err("ends early")),
            (vec![0x30, 0x80, 0, 0], Err("unknown form (80)")),
            (vec![4, 0x85, 0, 0, 0, 0, 1], Err("unknown form (85)")),
            (vec![0x1f, 0x81, 1], Err("several bytes")),
        ] {
            match (Der(&bytes).any(), body) {
                (Ok(element), Ok(length)) => assert_eq!(element.body.len(), length),
                (Err(error), Err(why)) => assert!(error.contains(why), "{error}"),
                (found, expected) => panic!("{bytes:02x?}: {found:?}, not {expected:?}"),
            }
        }
        assert_eq!(Der(&[2, 1, 0, 4, 0]).filter_map(Result::ok).map(|element| element.tag).collect::<Vec<_>>(), [2, 4]);
        assert!(Der(&[4, 0]).one(SEQUENCE).unwrap_err().contains("a tag 04 where 30 is due"));
    }
}

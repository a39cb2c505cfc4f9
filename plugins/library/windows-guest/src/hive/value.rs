//! What a value holds: bytes of a type, and what they mean to who reads them.

use vmdk2kvm_plugin_api::model::RegistryValue;

/// `REG_SZ`.
const TEXT: u32 = 1;
/// `REG_EXPAND_SZ`.
const EXPANDED_TEXT: u32 = 2;
/// `REG_DWORD`.
const NUMBER: u32 = 4;
/// `REG_DWORD_BIG_ENDIAN`.
const NUMBER_BIG_ENDIAN: u32 = 5;
/// `REG_LINK`.
const LINK: u32 = 6;
/// `REG_MULTI_SZ`.
const TEXTS: u32 = 7;
/// `REG_QWORD`.
const LONG_NUMBER: u32 = 11;

/// A value of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// Its name; empty: the key's default value. What is no Unicode in it is replaced.
    pub name: String,
    /// Its type's number, as it is stored: 1 a string, 4 a number, ..., and any other that somebody thought of.
    pub type_number: u32,
    /// Its bytes as they are stored.
    pub data: Vec<u8>,
}

impl Value {
    /// The text of a string, up to its first NUL; `None`: it is of another type.
    pub fn text(&self) -> Option<String> {
        if ![TEXT, EXPANDED_TEXT, LINK].contains(&self.type_number) {
            return None;
        }
        let units: Vec<u16> = self.units().take_while(|unit| *unit != 0).collect();
        Some(String::from_utf16_lossy(&units))
    }

    /// The texts of a list of strings, up to the empty one that ends it; `None`: it is of another type.
    pub fn texts(&self) -> Option<Vec<String>> {
        if self.type_number != TEXTS {
            return None;
        }
        let units: Vec<u16> = self.units().collect();
        let texts = units.split(|unit| *unit == 0).take_while(|text| !text.is_empty());
        Some(texts.map(String::from_utf16_lossy).collect())
    }

    /// The number of 32 or 64 bits; `None`: it is of another type, or of another length.
    pub fn number(&self) -> Option<u64> {
        match (self.type_number, self.data.as_slice()) {
            (NUMBER, &[a, b, c, d]) => Some(u32::from_le_bytes([a, b, c, d]).into()),
            (NUMBER_BIG_ENDIAN, &[a, b, c, d]) => Some(u32::from_be_bytes([a, b, c, d]).into()),
            (LONG_NUMBER, &[a, b, c, d, e, f, g, h]) => Some(u64::from_le_bytes([a, b, c, d, e, f, g, h])),
            _ => None,
        }
    }

    /// The same for an edit.
    pub fn to_registry(&self) -> RegistryValue {
        RegistryValue::new(self.type_number, &self.data)
    }

    fn units(&self) -> impl Iterator<Item = u16> {
        self.data.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]))
    }
}

/// A string as a value of type 1 or 2 stores it.
pub fn text_data(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

/// Strings as a value of type 7 stores them; none of them is empty.
pub fn texts_data<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    texts.into_iter().flat_map(text_data).chain([0, 0]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(type_number: u32, data: &[u8]) -> Value {
        Value { name: String::new(), type_number, data: data.to_vec() }
    }

    #[test]
    fn text_ends_where_windows_ends_it() {
        for (data, text) in
            [(text_data("aä😀"), "aä😀"), (b"a\0\0\0b\0".to_vec(), "a"), (b"a\0b".to_vec(), "a"), (vec![], "")]
        {
            for type_number in [1, 2, 6] {
                assert_eq!(value(type_number, &data).text().as_deref(), Some(text));
            }
            assert_eq!(value(3, &data).text(), None);
        }
        for (data, texts) in [
            (texts_data(["a", "bc"]), vec!["a", "bc"]),
            (texts_data([]), vec![]),
            (b"a\0\0\0b\0".to_vec(), vec!["a", "b"]),
            (b"\0\0b\0\0\0".to_vec(), vec![]),
            (vec![], vec![]),
        ] {
            assert_eq!(value(7, &data).texts().unwrap(), texts);
            assert_eq!(value(1, &data).texts(), None);
        }
    }

    #[test]
    fn numbers_are_of_their_length() {
        let cases: [(u32, &[u8], Option<u64>); 7] = [
            (4, &[1, 2, 0, 0], Some(0x201)),
            (5, &[0, 0, 2, 1], Some(0x201)),
            (11, &[1, 0, 0, 0, 0, 0, 0, 0x80], Some(0x8000_0000_0000_0001)),
            (4, &[1, 2, 0], None),
            (4, &[1, 2, 0, 0, 0, 0, 0, 0], None),
            (11, &[1, 0, 0, 0], None),
            (3, &[1, 2, 0, 0], None),
        ];
        for (type_number, data, number) in cases {
            assert_eq!(value(type_number, data).number(), number, "{type_number} {data:?}");
        }
        assert_eq!(value(4, &[1, 0, 0, 0xa0]).to_registry(), RegistryValue::new(4, &[1, 0, 0, 0xa0]));
    }
}

//! Where what stands in the cells of keys and values. The checker has its own idea of it.

/// Stands where nothing is referred to.
pub const NOTHING: u32 = u32::MAX;
/// Keys lie no deeper below the root.
pub const DEEPEST: u32 = 512;
/// Longer data is big data, and so long is each segment of it but the last.
pub const SEGMENT: usize = 16_344;
/// The version (behind the dot) from which on there is big data.
pub const BIG_DATA_SINCE: u32 = 4;
/// Set in a length of data that lies where the place of longer data is.
pub const INSIDE: u32 = 0x8000_0000;

/// The cell of a key, which begins with `nk`.
pub mod key {
    pub const FLAGS: usize = 2;
    pub const TIME: usize = 4;
    pub const PARENT: usize = 16;
    pub const SUBKEYS: usize = 20;
    pub const LIST: usize = 28;
    pub const VOLATILE_LIST: usize = 32;
    pub const VALUES: usize = 36;
    pub const VALUE_LIST: usize = 40;
    pub const SECURITY: usize = 44;
    pub const CLASS: usize = 48;
    /// Of the keys below it, in bytes of UTF-16; the upper half of this word holds flags.
    pub const LONGEST_NAME: usize = 52;
    pub const LONGEST_VALUE_NAME: usize = 60;
    pub const LONGEST_DATA: usize = 64;
    pub const NAME_LENGTH: usize = 72;
    pub const CLASS_LENGTH: usize = 74;
    pub const NAME: usize = 76;

    /// A flag: its name has one byte a unit.
    pub const COMPRESSED: u16 = 0x20;
    /// A flag: it stands for a key that Windows makes up, and where the number of its values is there is another one.
    pub const PREDEFINED: u16 = 0x40;
}

/// The cell of a value, which begins with `vk`.
pub mod value {
    pub const NAME_LENGTH: usize = 2;
    pub const LENGTH: usize = 4;
    pub const DATA: usize = 8;
    pub const TYPE: usize = 12;
    pub const FLAGS: usize = 16;
    pub const NAME: usize = 20;

    /// A flag: its name has one byte a unit.
    pub const COMPRESSED: u16 = 1;
}

/// The cells of lists of keys: a kind, a number of rows, the rows.
pub mod list {
    /// Its rows are the places of leaves.
    pub const INDEX: &[u8] = b"ri";
    pub const ROWS: usize = 4;
}

/// The cell of a security descriptor, which begins with `sk`.
pub mod security {
    pub const NEXT: usize = 4;
    pub const LAST: usize = 8;
    pub const USERS: usize = 12;
}

//! Which Windows it is, from what the hives say: build number, product type and architecture.
//!
//! Owns the table from builds to names, kernel versions and driver folders. The build is the truth: the product's name in the registry is
//! "Windows 10" on 11, too.

use std::fmt;

/// The processor that a Windows or a driver is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Architecture {
    /// 32-bit x86.
    X86,
    /// x86-64.
    Amd64,
    /// 64-bit ARM.
    Arm64,
}

impl Architecture {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::X86, Self::Amd64, Self::Arm64];

    /// What a folder, a decoration of an INF, or `PROCESSOR_ARCHITECTURE` in the registry means.
    pub fn parse(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "x86" | "i386" => Some(Self::X86),
            "amd64" | "x64" | "x86_64" => Some(Self::Amd64),
            "arm64" | "aarch64" => Some(Self::Arm64),
            _ => None,
        }
    }

    /// The word that INF files and the driver store use.
    pub const fn word(self) -> &'static str {
        match self {
            Self::X86 => "x86",
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What `Control\ProductOptions\ProductType` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProductType {
    /// `WinNT`: a client.
    Client,
    /// `LanmanNT`: a server that is a domain controller.
    DomainController,
    /// `ServerNT`: any other server.
    Server,
}

impl ProductType {
    /// The registry's word for it.
    pub fn parse(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "winnt" => Some(Self::Client),
            "lanmannt" => Some(Self::DomainController),
            "servernt" => Some(Self::Server),
            _ => None,
        }
    }

    /// The number that decorations of an INF use for it (`VER_NT_*`).
    pub const fn number(self) -> u32 {
        match self {
            Self::Client => 1,
            Self::DomainController => 2,
            Self::Server => 3,
        }
    }

    /// Whether it is a server, domain controller or not.
    pub const fn is_server(self) -> bool {
        !matches!(self, Self::Client)
    }
}

/// The version of an NT kernel, as INF files and catalogues write it. Windows 10, 11 and their servers are all 10.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KernelVersion {
    /// 5, 6 or 10.
    pub major: u32,
    /// Behind the dot.
    pub minor: u32,
}

impl KernelVersion {
    /// `major.minor`.
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A Windows, as far as drivers must know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Windows {
    /// `CurrentBuildNumber`.
    pub build: u32,
    /// Client or server.
    pub product: ProductType,
    /// What its kernel runs on.
    pub architecture: Architecture,
}

/// All builds from `from` to the next row's.
struct Row {
    from: u32,
    name: &'static str,
    kernel: KernelVersion,
    /// Driver folders, best first; never one for a newer kernel.
    folders: &'static [&'static str],
}

const fn row(from: u32, name: &'static str, kernel: (u32, u32), folders: &'static [&'static str]) -> Row {
    Row { from, name, kernel: KernelVersion::new(kernel.0, kernel.1), folders }
}

const CLIENTS: &[Row] = &[
    row(0, "a Windows before XP", (5, 0), &[]),
    row(2600, "Windows XP", (5, 1), &[]),
    row(3790, "Windows XP x64 Edition", (5, 2), &[]),
    row(6000, "Windows Vista", (6, 0), &["2k8"]),
    row(7600, "Windows 7", (6, 1), &["w7"]),
    row(9200, "Windows 8", (6, 2), &["w8"]),
    row(9600, "Windows 8.1", (6, 3), &["w8.1"]),
    row(10240, "Windows 10", (10, 0), &["w10"]),
    row(22000, "Windows 11", (10, 0), &["w11", "w10"]),
];

const SERVERS: &[Row] = &[
    row(0, "a Windows Server before 2003", (5, 0), &[]),
    row(3790, "Windows Server 2003", (5, 2), &[]),
    row(6000, "Windows Server 2008", (6, 0), &["2k8"]),
    row(7600, "Windows Server 2008 R2", (6, 1), &["2k8R2", "w7"]),
    row(9200, "Windows Server 2012", (6, 2), &["2k12"]),
    row(9600, "Windows Server 2012 R2", (6, 3), &["2k12R2"]),
    row(10240, "Windows Server 2016", (10, 0), &["2k16", "w10"]),
    row(16299, "Windows Server, semi-annual channel", (10, 0), &["2k16", "w10"]),
    row(17763, "Windows Server 2019", (10, 0), &["2k19", "2k16", "w10"]),
    row(18362, "Windows Server, semi-annual channel", (10, 0), &["2k19", "2k16", "w10"]),
    row(20348, "Windows Server 2022", (10, 0), &["2k22", "2k19", "w10"]),
    row(25398, "Windows Server, annual channel", (10, 0), &["2k22", "2k19", "w10"]),
    row(26100, "Windows Server 2025", (10, 0), &["2k25", "w11", "2k22"]),
];

/// The newest builds that the tables were written for.
const NEWEST_CLIENT: u32 = 26200;
const NEWEST_SERVER: u32 = 26100;

impl Windows {
    /// The Windows of this build.
    pub const fn new(build: u32, product: ProductType, architecture: Architecture) -> Self {
        Self { build, product, architecture }
    }

    fn row(&self) -> &'static Row {
        let rows = if self.product.is_server() { SERVERS } else { CLIENTS };
        // The first row begins at zero.
        &rows[rows.partition_point(|row| row.from <= self.build).saturating_sub(1)]
    }

    /// The name of its release: `Windows Server 2019`.
    pub fn name(&self) -> &'static str {
        self.row().name
    }

    /// The version of its kernel.
    pub fn kernel(&self) -> KernelVersion {
        self.row().kernel
    }

    /// The folders of a driver source that hold drivers for it, best first; none when there are no virtio drivers for it (XP, 2003).
    pub fn folders(&self) -> &'static [&'static str] {
        self.row().folders
    }

    /// Whether the build is newer than the tables: [`Self::name`] and [`Self::folders`] are then those of the newest release that they know.
    pub const fn is_newer_than_known(&self) -> bool {
        self.build > if self.product.is_server() { NEWEST_SERVER } else { NEWEST_CLIENT }
    }
}

impl fmt::Display for Windows {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} (build {}, {})", self.name(), self.build, self.architecture)
    }
}

/// Whether drivers in a folder of this name are for some Windows that the tables know. The dot may be lost in a plain ISO 9660 name.
pub(crate) fn folder_name(word: &str) -> Option<&'static str> {
    // Folders of systems that have no drivers any more are folders all the same.
    const OLD: [&str; 4] = ["xp", "2k3", "2k", "vista"];
    let word = word.replace('_', ".");
    let known = CLIENTS.iter().chain(SERVERS).flat_map(|row| row.folders).copied().chain(OLD);
    known.into_iter().find(|known| known.eq_ignore_ascii_case(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_and_the_product_decide() {
        use ProductType::{Client, DomainController, Server};
        let cases: &[(u32, ProductType, &str, &str, &[&str])] = &[
            (2195, Client, "a Windows before XP", "5.0", &[]),
            (2600, Client, "Windows XP", "5.1", &[]),
            (3790, Server, "Windows Server 2003", "5.2", &[]),
            (6002, Client, "Windows Vista", "6.0", &["2k8"]),
            (6003, Server, "Windows Server 2008", "6.0", &["2k8"]),
            (7600, Client, "Windows 7", "6.1", &["w7"]),
            (7601, Client, "Windows 7", "6.1", &["w7"]),
            (7601, DomainController, "Windows Server 2008 R2", "6.1", &["2k8R2", "w7"]),
            (9200, Client, "Windows 8", "6.2", &["w8"]),
            (9200, Server, "Windows Server 2012", "6.2", &["2k12"]),
            (9600, Client, "Windows 8.1", "6.3", &["w8.1"]),
            (9600, Server, "Windows Server 2012 R2", "6.3", &["2k12R2"]),
            (10240, Client, "Windows 10", "10.0", &["w10"]),
            (19045, Client, "Windows 10", "10.0", &["w10"]),
            (22000, Client, "Windows 11", "10.0", &["w11", "w10"]),
            (26200, Client, "Windows 11", "10.0", &["w11", "w10"]),
            (14393, Server, "Windows Server 2016", "10.0", &["2k16", "w10"]),
            (17763, Server, "Windows Server 2019", "10.0", &["2k19", "2k16", "w10"]),
            (18363, Server, "Windows Server, semi-annual channel", "10.0", &["2k19", "2k16", "w10"]),
            (20348, DomainController, "Windows Server 2022", "10.0", &["2k22", "2k19", "w10"]),
            (26100, Server, "Windows Server 2025", "10.0", &["2k25", "w11", "2k22"]),
        ];
        for (build, product, name, kernel, folders) in cases {
            let windows = Windows::new(*build, *product, Architecture::Amd64);
            let found = (windows.name(), windows.kernel().to_string(), windows.folders());
            assert_eq!(found, (*name, (*kernel).to_owned(), *folders), "{build} {product:?}");
            assert!(!windows.is_newer_than_known(), "{build}");
        }
    }

    #[test]
    fn an_unknown_newer_build_is_the_newest_known_and_says_so() {
        for (product, name) in [(ProductType::Client, "Windows 11"), (ProductType::Server, "Windows Server 2025")] {
            let windows = Windows::new(99999, product, Architecture::Amd64);
            assert_eq!((windows.name(), windows.is_newer_than_known()), (name, true));
        }
    }

    #[test]
    fn folders_are_never_for_a_newer_kernel() {
        for (rows, product) in [(CLIENTS, ProductType::Client), (SERVERS, ProductType::Server)] {
            for row in rows {
                for folder in row.folders {
                    // The first release that the folder is named after has it as its best.
                    let home = CLIENTS.iter().chain(SERVERS).find(|row| row.folders.first() == Some(folder));
                    let home = home.unwrap_or_else(|| panic!("{folder} is nobody's best"));
                    assert!(home.from <= row.from, "{product:?} {}: {folder}", row.name);
                }
            }
        }
    }

    #[test]
    fn words_of_the_registry_and_of_folders() {
        for (word, architecture) in [
            ("x86", Some(Architecture::X86)),
            ("I386", Some(Architecture::X86)),
            ("AMD64", Some(Architecture::Amd64)),
            ("ARM64", Some(Architecture::Arm64)),
            ("ia64", None),
        ] {
            assert_eq!(Architecture::parse(word), architecture, "{word}");
        }
        assert_eq!(ProductType::parse("LanmanNT"), Some(ProductType::DomainController));
        assert_eq!(ProductType::parse("winnt"), Some(ProductType::Client));
        assert_eq!(ProductType::parse("Server"), None);
        assert_eq!(folder_name("2K12r2"), Some("2k12R2"));
        assert_eq!(folder_name("W8_1"), Some("w8.1"));
        assert_eq!(folder_name("x"), None);
    }
}

//! The target of a section, as its name is decorated with it:
//! `NT[Architecture][.[Major][.[Minor][.[ProductType][.[SuiteMask][.[BuildNumber]]]]]]`.

use super::number::number;
use crate::version::{Architecture, Windows};

/// What a decoration asks of a Windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decoration {
    /// None: not said. Some(None): an architecture that we do not know (`ia64`, `arm`).
    architecture: Option<Option<Architecture>>,
    major: Option<u32>,
    minor: Option<u32>,
    product: Option<u32>,
    suite: Option<u32>,
    build: Option<u32>,
}

/// How closely a decoration fits; the greatest is chosen: first the highest version, then the product, then the architecture.
pub(super) type Rank = (u32, u32, u32, bool, bool);

impl Decoration {
    /// Nothing for what is no decoration.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('.').map(str::trim);
        let first = parts.next()?;
        let architecture = match first.get(..2).filter(|nt| nt.eq_ignore_ascii_case("nt")).map(|_| &first[2..])? {
            "" => None,
            word => Some(Architecture::parse(word)),
        };
        let mut next = || match parts.next() {
            None | Some("") => Some(None),
            Some(text) => Some(Some(number(text)?)),
        };
        let it =
            Self { architecture, major: next()?, minor: next()?, product: next()?, suite: next()?, build: next()? };
        parts.next().is_none().then_some(it)
    }

    /// How closely it fits this Windows, if it does. A suite is never known from outside, so a section for some suites only fits none.
    pub fn fits(&self, windows: &Windows) -> Option<Rank> {
        // Without an architecture it is for x86, since Windows Server 2003 SP1.
        let architecture = self.architecture.unwrap_or(Some(Architecture::X86)) == Some(windows.architecture);
        let kernel = windows.kernel();
        let version = (self.major.unwrap_or(0), self.minor.unwrap_or(0));
        let fits = architecture
            && version <= (kernel.major, kernel.minor)
            && self.product.is_none_or(|product| product == windows.product.number())
            && self.suite.is_none()
            && self.build.is_none_or(|build| build <= windows.build);
        fits.then_some((
            version.0,
            version.1,
            self.build.unwrap_or(0),
            self.product.is_some(),
            self.architecture.is_some(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::ProductType;

    const W7: Windows = Windows::new(7601, ProductType::Client, Architecture::Amd64);
    const W81: Windows = Windows::new(9600, ProductType::Client, Architecture::Amd64);
    const W10: Windows = Windows::new(14393, ProductType::Client, Architecture::Amd64);
    const W11: Windows = Windows::new(22000, ProductType::Client, Architecture::Amd64);
    const S2022: Windows = Windows::new(20348, ProductType::Server, Architecture::Amd64);
    const W7X86: Windows = Windows::new(7601, ProductType::Client, Architecture::X86);

    #[test]
    fn who_fits_where() {
        let cases: &[(&str, [bool; 6])] = &[
            // 7, 8.1, 10 1607, 11, Server 2022, 7 x86
            ("NTamd64", [true, true, true, true, true, false]),
            ("ntAMD64.6.1", [true, true, true, true, true, false]),
            ("NTamd64.6.3", [false, true, true, true, true, false]),
            ("NTamd64.10.0", [false, false, true, true, true, false]),
            ("NTamd64.10.0...16299", [false, false, false, true, true, false]),
            ("NTamd64.10.0.3..16299", [false, false, false, false, true, false]),
            ("NTamd64.6..1", [true, true, true, true, false, false]),
            ("NTamd64.6.1..0x80", [false; 6]),
            ("NTamd64.0x6.0x1", [true, true, true, true, true, false]),
            ("NTx86.6.1", [false, false, false, false, false, true]),
            ("NT", [false, false, false, false, false, true]),
            ("NT.5.1", [false, false, false, false, false, true]),
            ("NTia64", [false; 6]),
        ];
        for (text, expected) in cases {
            let decoration = Decoration::parse(text).unwrap_or_else(|| panic!("{text}"));
            let found = [W7, W81, W10, W11, S2022, W7X86].map(|windows| decoration.fits(&windows).is_some());
            assert_eq!(found, *expected, "{text}");
        }
    }

    #[test]
    fn the_closest_wins() {
        let best = |windows: &Windows, all: &[&'static str]| {
            let fitting = all.iter().filter_map(|text| Some((Decoration::parse(text)?.fits(windows)?, *text)));
            fitting.max().map(|(_, text)| text)
        };
        let all = ["NTamd64", "NTamd64.6.1", "NTamd64.6.3", "NTamd64.10.0", "NTamd64.10.0...16299", "NTx86.6.1", "NT"];
        assert_eq!(best(&W7, &all), Some("NTamd64.6.1"));
        assert_eq!(best(&W81, &all), Some("NTamd64.6.3"));
        assert_eq!(best(&W10, &all), Some("NTamd64.10.0"));
        assert_eq!(best(&W11, &all), Some("NTamd64.10.0...16299"));
        assert_eq!(best(&W7X86, &all), Some("NTx86.6.1"));
        assert_eq!(best(&S2022, &["NTamd64.10.0.1", "NTamd64.10.0", "NTamd64.10.0.3"]), Some("NTamd64.10.0.3"));
    }

    #[test]
    fn what_is_no_decoration() {
        for text in ["", "n", "amd64", "NTamd64.x", "NTamd64.6.1.1.1.1.1", "Services", "ü2"] {
            assert_eq!(Decoration::parse(text), None, "{text}");
        }
    }
}

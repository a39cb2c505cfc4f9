//! `DriverVer` of an INF: a date and four numbers.

use std::fmt;

/// When a driver was made, and its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct DriverVersion {
    /// Four numbers, the most significant first.
    pub version: [u16; 4],
    /// Year, month, day.
    pub date: (u16, u8, u8),
}

impl DriverVersion {
    /// `mm/dd/yyyy` with slashes or dashes, and up to four numbers behind it.
    pub(super) fn parse(date: &str, version: &str) -> Option<Self> {
        let mut parts = date.trim().split(['/', '-']);
        let (month, day, year) =
            (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let mut numbers = [0; 4];
        let mut written = version.trim().split('.').filter(|part| !part.is_empty());
        for number in &mut numbers {
            *number = written.next().map_or(Some(0), |part| part.trim().parse().ok())?;
        }
        let sound = parts.next().is_none()
            && written.next().is_none()
            && (1..=12).contains(&month)
            && (1..=31).contains(&day)
            && (1601..=9999).contains(&year);
        sound.then_some(Self { version: numbers, date: (year, month, day) })
    }

    /// The date at midnight in 100 ns since 1601, as the registry stores it.
    pub fn filetime(&self) -> u64 {
        let (year, month, day) = (i64::from(self.date.0), i64::from(self.date.1), i64::from(self.date.2));
        // Years that begin in March have their leap day at the end.
        let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
        // Days from March of the year 0 to the 1st of January 1601.
        const EPOCH: i64 = 584_694;
        u64::try_from(days - EPOCH).unwrap_or(0) * 86_400 * 10_000_000
    }
}

impl fmt::Display for DriverVersion {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let [a, b, c, d] = self.version;
        let (year, month, day) = self.date;
        write!(f, "{a}.{b}.{c}.{d} of {year:04}-{month:02}-{day:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_versions() {
        for (date, version, shown) in [
            ("07/11/2018", "62.76.104.15800", Some("62.76.104.15800 of 2018-07-11")),
            ("1-2-2006", "6.0", Some("6.0.0.0 of 2006-01-02")),
            ("12/29/2013", "1.3.0", Some("1.3.0.0 of 2013-12-29")),
            ("04/01/2020", "", Some("0.0.0.0 of 2020-04-01")),
            ("2018/07/11", "1", None),
            ("07/11/2018", "1.2.3.4.5", None),
            ("07/11/2018", "1.2.3.65536", None),
            ("", "1", None),
        ] {
            assert_eq!(
                DriverVersion::parse(date, version).map(|it| it.to_string()).as_deref(),
                shown,
                "{date},{version}"
            );
        }
    }

    #[test]
    fn the_date_as_the_registry_has_it() {
        for (date, days) in [("01/01/1601", 0), ("01/02/1601", 1), ("03/01/1604", 1155), ("01/01/1970", 134_774)] {
            let version = DriverVersion::parse(date, "1").unwrap();
            assert_eq!(version.filetime(), days * 864_000_000_000, "{date}");
        }
    }
}

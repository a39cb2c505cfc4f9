//! How this machine calls a package, and how it installs one: the one place that knows.
//!
//! A manifest names the packages of Debian and of Fedora. Which of them counts here is read from os-release(5), which each system has with its own name and
//! those of its kin; where that says nothing, the package manager that is there decides.

use std::sync::OnceLock;

use vmdk2kvm_plugin_api::Need;

use super::programs::find_program;

/// Where os-release lies, the first that there is.
const OS_RELEASE: [&str; 2] = ["/etc/os-release", "/usr/lib/os-release"];

/// A way to package software.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packaging {
    /// Packages of Debian's kin.
    Deb,
    /// Packages of Fedora's kin, installed with this program.
    Rpm(&'static str),
    /// Another, whose names no manifest has.
    Other,
}

impl Packaging {
    /// That of this machine.
    pub fn here() -> Self {
        static HERE: OnceLock<Packaging> = OnceLock::new();
        *HERE.get_or_init(|| {
            let text = OS_RELEASE.iter().find_map(|path| std::fs::read_to_string(path).ok());
            Self::of(&text.unwrap_or_default(), |program| find_program(program).is_some())
        })
    }

    /// That of a machine with this os-release and these programs.
    fn of(os_release: &str, has: impl Fn(&str) -> bool) -> Self {
        let values = |key: &str| {
            let lines = os_release.lines().filter_map(|line| line.split_once('='));
            let of_key =
                lines.filter(|(name, _)| *name == key).map(|(_, value)| value.trim().trim_matches(['"', '\'']));
            of_key.flat_map(str::split_ascii_whitespace).map(str::to_owned).collect::<Vec<_>>()
        };
        for name in [values("ID"), values("ID_LIKE")].concat() {
            match name.as_str() {
                "debian" | "ubuntu" => return Self::Deb,
                "fedora" | "rhel" | "centos" if !has("dnf") && has("yum") => return Self::Rpm("yum"),
                "fedora" | "rhel" | "centos" => return Self::Rpm("dnf"),
                "arch" | "alpine" | "gentoo" | "nixos" | "suse" | "opensuse" => return Self::Other,
                _ => {}
            }
        }
        if has("apt-get") {
            Self::Deb
        } else if has("dnf") {
            Self::Rpm("dnf")
        } else {
            Self::Other
        }
    }

    /// What the package of a need is called here; elsewhere, where that is not known; `None`: nowhere.
    pub fn package(self, need: &Need) -> Option<String> {
        self.name(&need.packages.deb, &need.packages.rpm)
    }

    fn name(self, deb: &str, rpm: &str) -> Option<String> {
        let known = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        let elsewhere = |name: &str, system: &str| known(name).map(|name| format!("{name} on {system}"));
        match self {
            Self::Deb => known(deb),
            Self::Rpm(_) => known(rpm),
            Self::Other => None,
        }
        .or_else(|| {
            let all: Vec<String> = [elsewhere(deb, "Debian"), elsewhere(rpm, "Fedora")].into_iter().flatten().collect();
            (!all.is_empty()).then(|| all.join(", "))
        })
    }

    /// The command that installs packages that [`Packaging::package`] has named; `None` when they are not all names of this system.
    pub fn install<S: AsRef<str>>(self, packages: &[S]) -> Option<String> {
        let program = match self {
            Self::Deb => "apt-get",
            Self::Rpm(program) => program,
            Self::Other => return None,
        };
        let names: Vec<&str> = packages.iter().map(AsRef::as_ref).collect();
        // One with a blank in it says of which system it is.
        names.iter().all(|name| !name.contains(' ')).then(|| format!("{program} install {}", names.join(" ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_decides_by_its_own_name_then_by_its_kin_then_by_its_programs() {
        let nothing: &[&str] = &[];
        for (text, programs, expected) in [
            ("ID=debian\n", nothing, Packaging::Deb),
            ("NAME=\"x\"\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", nothing, Packaging::Deb),
            // rpm and apt-get can be installed anywhere.
            ("ID=debian\n", &["rpm", "dnf"], Packaging::Deb),
            ("ID=fedora\n", &["apt-get", "dnf"], Packaging::Rpm("dnf")),
            ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", nothing, Packaging::Rpm("dnf")),
            ("ID='centos'\nID_LIKE='rhel fedora'\n", &["yum"], Packaging::Rpm("yum")),
            ("ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n", &["rpm"], Packaging::Other),
            ("ID=arch\n", &["apt-get"], Packaging::Other),
            ("ID=own\n", &["dnf"], Packaging::Rpm("dnf")),
            ("", &["apt-get"], Packaging::Deb),
            ("", nothing, Packaging::Other),
        ] {
            assert_eq!(Packaging::of(text, |program| programs.contains(&program)), expected, "{text} {programs:?}");
        }
    }

    #[test]
    fn a_package_has_the_name_that_it_has_here() {
        for (packaging, deb, rpm, expected) in [
            (Packaging::Deb, "a-utils", "a-img", Some("a-utils")),
            (Packaging::Rpm("dnf"), "a-utils", "a-img", Some("a-img")),
            (Packaging::Other, "a-utils", "a-img", Some("a-utils on Debian, a-img on Fedora")),
            (Packaging::Rpm("dnf"), "a-utils", "", Some("a-utils on Debian")),
            (Packaging::Deb, "", "a-img", Some("a-img on Fedora")),
            (Packaging::Other, "", "", None),
        ] {
            assert_eq!(packaging.name(deb, rpm).as_deref(), expected, "{packaging:?} {deb} {rpm}");
        }
    }

    #[test]
    fn what_is_missing_is_installed_as_it_is_here() {
        assert_eq!(Packaging::Deb.install(&["a", "b"]).as_deref(), Some("apt-get install a b"));
        assert_eq!(Packaging::Rpm("yum").install(&["a"]).as_deref(), Some("yum install a"));
        assert_eq!(Packaging::Other.install(&["a"]), None);
        assert_eq!(Packaging::Rpm("dnf").install(&["a on Debian", "b"]), None);
    }
}

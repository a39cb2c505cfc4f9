//! Whether a Windows loads drivers of this catalogue, by who signed it and for which systems.

use vmdk2kvm_plugin_api::text::escape;

use super::{Catalogue, DigestAlgorithm, Signer};
use crate::version::{Architecture, KernelVersion, Windows};

/// Whether a driver loads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It loads.
    Loads,
    /// It loads when the guest has what is named here.
    LoadsIf {
        /// An update of Windows.
        needs: String,
    },
    /// It does not load.
    Refused {
        /// A sentence that reads on behind "not chosen: ".
        reason: String,
    },
}

/// What a signature is worth to a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trust {
    /// Signed in Microsoft's name: its publisher for drivers, or Windows itself.
    Microsoft,
    /// Signed by the driver's maker, whose issuer Microsoft signed for across (older builds).
    CrossSigned,
    /// Signed by a certificate that vouches for itself.
    SelfSigned,
    /// By an issuer that no kernel knows, or by a certificate that is not there.
    Unknown,
}

/// The names that Microsoft signs drivers in.
const PUBLISHERS: [&str; 3] = [
    "Microsoft Windows Hardware Compatibility Publisher",
    "Microsoft Windows Hardware Abstraction Layer Publisher",
    "Microsoft Windows",
];

/// Who signs across for a root of somebody else.
const CODE_VERIFICATION_ROOT: &str = "Microsoft Code Verification Root";

/// The issuers whose roots Microsoft has published such certificates for; a signature need not carry them.
const CROSS_SIGNED: [&str; 17] = [
    "addtrust",
    "baltimore",
    "certum",
    "cybertrust",
    "digicert",
    "entrust",
    "equifax",
    "geotrust",
    "globalsign",
    "go daddy",
    "netlock",
    "security communication",
    "startcom",
    "symantec",
    "thawte",
    "utn-userfirst",
    "verisign",
];

impl Signer {
    /// What it is worth, by its names alone: nobody checked the signature itself.
    pub fn trust(&self) -> Trust {
        let Some(subject) = &self.subject else { return Trust::Unknown };
        if PUBLISHERS.contains(&subject.common_name.as_str()) {
            return Trust::Microsoft;
        }
        if self.is_self_signed {
            return Trust::SelfSigned;
        }
        let known = self.chain.iter().any(|issuer| {
            let names = [&issuer.common_name, &issuer.organisation].map(|name| name.to_lowercase());
            let is_published = names.iter().any(|name| CROSS_SIGNED.iter().any(|word| name.contains(word)));
            issuer.common_name == CODE_VERIFICATION_ROOT || is_published
        });
        if known { Trust::CrossSigned } else { Trust::Unknown }
    }
}

/// Windows 10 and later take what Microsoft signed, whatever else.
const TEN: KernelVersion = KernelVersion::new(10, 0);

impl Catalogue {
    /// Whether this Windows loads a driver of this catalogue: by its best signature.
    pub fn loads_on(&self, windows: &Windows, secure_boot: bool) -> Verdict {
        let mut verdicts: Vec<_> = self.signers.iter().map(|signer| self.judge(signer, windows, secure_boot)).collect();
        verdicts.sort_by_key(|verdict| match verdict {
            Verdict::Loads => 0,
            Verdict::LoadsIf { .. } => 1,
            Verdict::Refused { .. } => 2,
        });
        let unsigned = || refused("its catalogue is not signed".to_owned());
        verdicts.into_iter().next().unwrap_or_else(unsigned)
    }

    fn judge(&self, signer: &Signer, windows: &Windows, secure_boot: bool) -> Verdict {
        let kernel = windows.kernel();
        if signer.content_is_signed == Some(false) {
            return refused("its catalogue was changed after it was signed".to_owned());
        }
        let systems = self.systems();
        if !systems.is_empty() && !systems.iter().any(|system| is_for(system, kernel)) {
            return refused(format!("its catalogue is for {}, not for 2:{kernel}", systems.join(",")));
        }
        let trust = signer.trust();
        // 32-bit kernels ask for no signature, unless the firmware does.
        if windows.architecture == Architecture::X86 && !secure_boot {
            return Verdict::Loads;
        }
        let who = signer.subject.as_ref().map_or_else(|| "an unknown signer".to_owned(), ToString::to_string);
        match trust {
            Trust::Microsoft if kernel >= TEN => Verdict::Loads,
            Trust::Microsoft if systems.is_empty() => {
                refused(format!("{who} signed it for no particular system, which only Windows 10 and later accept"))
            }
            Trust::Microsoft => by_digest(signer.algorithm, kernel),
            Trust::CrossSigned if secure_boot && kernel >= TEN => {
                refused(format!("{who} signed it, and with Secure Boot only Microsoft's signature counts"))
            }
            Trust::CrossSigned => by_digest(signer.algorithm, kernel),
            Trust::SelfSigned => {
                refused(format!("its signature by {who} is self-signed: Windows would stop with 0xC0000428"))
            }
            Trust::Unknown => refused(format!(
                "{who} signed it, issued by {}, which Windows does not trust: it would stop with 0xC0000428",
                signer.issuer
            )),
        }
    }
}

/// Windows 7 and before learned SHA-2 by an update.
fn by_digest(algorithm: DigestAlgorithm, kernel: KernelVersion) -> Verdict {
    let update = match (kernel.major, kernel.minor) {
        (6, 0) => "KB4474419",
        (6, 1) => "KB3033929",
        _ => return Verdict::Loads,
    };
    match algorithm {
        DigestAlgorithm::Sha1 => Verdict::Loads,
        _ => Verdict::LoadsIf { needs: format!("the update {update}, since its catalogue is signed with {algorithm}") },
    }
}

/// Whether one system of an `OSAttr` (`2:6.1`, `2:6.x`, `2:10.0.17763`) is this kernel.
fn is_for(system: &str, kernel: KernelVersion) -> bool {
    let Some((platform, version)) = system.split_once(':') else { return false };
    let mut parts = version.split('.');
    let mut next = |number: u32| match parts.next().map(str::trim) {
        None => true,
        Some(part) => part.eq_ignore_ascii_case("x") || part.parse() == Ok(number),
    };
    platform.trim() == "2" && next(kernel.major) && next(kernel.minor)
}

fn refused(reason: String) -> Verdict {
    Verdict::Refused { reason: escape(&reason).into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_of_a_catalogue() {
        let seven = KernelVersion::new(6, 1);
        for (system, fits) in [
            ("2:6.1", true),
            (" 2:6.1 ", true),
            ("2:6.x", true),
            ("2:6", true),
            ("2:6.1.7601", true),
            ("2:6.3", false),
            ("2:10.0", false),
            ("1:6.1", false),
            ("6.1", false),
            ("2:", false),
        ] {
            assert_eq!(is_for(system, seven), fits, "{system}");
        }
        assert!(is_for("2:10.0", TEN) && !is_for("2:6.x", TEN));
    }
}

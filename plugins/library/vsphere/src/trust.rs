//! Whom to believe: a certificate that this machine's authorities, or one that the user named, vouch for; or the very one whose digest the user
//! pinned. There is no third way.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use vmdk2kvm_plugin_api::{PluginError, Result};

/// The digest of a certificate: SHA-1 (20 bytes, as VMware shows it) or SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thumbprint(Vec<u8>);

impl Thumbprint {
    /// Reads hexadecimal digits, with colons or without.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: String = text.chars().filter(|letter| *letter != ':').collect();
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) || !matches!(digits.len(), 40 | 64) {
            return None;
        }
        let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).ok();
        (0..digits.len()).step_by(2).map(byte).collect::<Option<_>>().map(Self)
    }

    /// The SHA-256 of a certificate.
    fn of(certificate: &[u8]) -> Self {
        Self(Sha256::digest(certificate).to_vec())
    }

    /// The SHA-1 of a certificate.
    pub(crate) fn sha1_of(certificate: &[u8]) -> Self {
        Self(Sha1::digest(certificate).to_vec())
    }

    fn fits(&self, certificate: &[u8]) -> bool {
        match self.0.len() {
            20 => Sha1::digest(certificate).as_slice() == self.0,
            _ => Self::of(certificate) == *self,
        }
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<String> = self.0.iter().map(|byte| format!("{byte:02X}")).collect();
        f.write_str(&pairs.join(":"))
    }
}

/// What the user trusts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trust {
    /// This certificate and no other.
    pub pin: Option<Thumbprint>,
    /// The authorities, as PEM, in place of this machine's.
    pub authorities: Option<String>,
}

/// The certificate that was refused last.
#[derive(Debug, Clone, Default)]
pub struct Refused(Arc<Mutex<Option<Thumbprint>>>);

impl Refused {
    /// Its SHA-256.
    pub fn take(&self) -> Option<Thumbprint> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Trust {
    /// TLS with this trust, and where a certificate that it refused is noted.
    pub fn tls(&self) -> Result<(ClientConfig, Refused)> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let refused = Refused::default();
        let mut themselves = Vec::new();
        let vouched: Option<Arc<dyn ServerCertVerifier>> = match (&self.pin, &self.authorities) {
            (Some(_), _) => None,
            (None, Some(pem)) => {
                themselves = certificates(pem)?;
                Some(by_authorities(&themselves, &provider)?)
            }
            (None, None) => {
                Some(Arc::new(rustls_platform_verifier::Verifier::new(Arc::clone(&provider)).map_err(|error| {
                    PluginError::missing(format!("this machine's certificates of authorities cannot be read: {error}"))
                        .hint("install ca-certificates, or pin the server's certificate")
                })?))
            }
        };
        let verifier = Believer {
            pin: self.pin.clone(),
            vouched,
            themselves,
            provider: Arc::clone(&provider),
            refused: refused.clone(),
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| PluginError::defect(format!("TLS: {error}")))?
            .dangerous() // The word of rustls for a verifier of one's own: it verifies.
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok((config, refused))
    }
}

/// The error of a file with certificates.
fn no_authorities(why: String) -> PluginError {
    PluginError::config(format!("the certificates of authorities that the settings name: {why}"))
        .hint("name a file with certificates as PEM, e.g. from https://VCENTER/certs/download.zip")
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>> {
    let all: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    all.map_err(|error| no_authorities(format!("they cannot be read: {error}")))
}

fn by_authorities(
    certificates: &[CertificateDer<'static>],
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate.clone()).map_err(|error| no_authorities(format!("one cannot be used: {error}")))?;
    }
    let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    builder
        .build()
        .map(|verifier| verifier as Arc<dyn ServerCertVerifier>)
        .map_err(|error| no_authorities(error.to_string()))
}

#[derive(Debug)]
struct Believer {
    pin: Option<Thumbprint>,
    vouched: Option<Arc<dyn ServerCertVerifier>>,
    /// Certificates that the user's file has: a host that signed its own is believed when its very certificate is there.
    themselves: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
    refused: Refused,
}

impl ServerCertVerifier for Believer {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, Error> {
        let believed = match (&self.pin, &self.vouched) {
            (Some(pin), _) if pin.fits(certificate) => Ok(ServerCertVerified::assertion()),
            (None, Some(_)) if self.themselves.iter().any(|known| known == certificate) => {
                Ok(ServerCertVerified::assertion())
            }
            (None, Some(vouched)) => vouched.verify_server_cert(certificate, chain, name, ocsp, now),
            _ => Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)),
        };
        if believed.is_err() {
            *self.refused.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Thumbprint::of(certificate));
        }
        believed
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thumbprints_have_one_form() {
        let sha1 = "A9:99:3E:36:47:06:81:6A:BA:3E:25:71:78:50:C2:6C:9C:D0:D8:9D";
        let sha256 = "BA:78:16:BF:8F:01:CF:EA:41:41:40:DE:5D:AE:22:23:B0:03:61:A3:96:17:7A:9C:B4:10:FF:61:F2:00:15:AD";
        for text in [sha1, sha256] {
            for form in [text.to_owned(), text.to_lowercase(), text.replace(':', "")] {
                let pin = Thumbprint::parse(&form).unwrap();
                assert_eq!(pin.to_string(), text);
                assert!(pin.fits(b"abc") && !pin.fits(b"abd"));
            }
        }
        for wrong in ["", "A9", &sha1[..sha1.len() - 1], "zz:".repeat(20).as_str(), &format!("{sha1}:00")] {
            assert_eq!(Thumbprint::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn authorities_that_are_none_are_refused() {
        for pem in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let error = Trust { pin: None, authorities: Some(pem.to_owned()) }.tls().err().unwrap();
            assert!(error.message.starts_with("the certificates of authorities that the settings name: "), "{error}");
        }
    }
}

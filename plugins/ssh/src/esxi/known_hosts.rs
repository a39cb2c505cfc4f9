//! Lists of known host keys, in the syntax of sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT": names with patterns and negations, hashed names, `@revoked`.
//! Keys of authorities are passed over: a host's certificate is not looked at here.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// The longest list that is read, in bytes.
pub const LONGEST: u64 = 16 << 20;

/// A key that a list has for a host.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    revoked: bool,
    /// Its algorithm: `ssh-ed25519`, ...
    kind: String,
    /// The public key as it is on the wire.
    key: Vec<u8>,
}

/// The keys that lists have for one host.
#[derive(Debug, Default)]
pub struct KnownHost {
    entries: Vec<Entry>,
}

/// What lists say of a key that a host shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the host's.
    Known,
    /// The host has another one of this kind.
    Changed,
    /// Nobody may believe it any more.
    Revoked,
    /// Nothing.
    Unknown,
}

impl KnownHost {
    /// Adds the entries of a list for the host of this name ([`super::address::Address::known_as`]). Lines that cannot be read are passed over,
    /// as every reader of such lists does.
    pub fn add(&mut self, list: &str, host: &str) {
        self.entries.extend(list.lines().filter_map(|line| entry(line, host)));
    }

    /// The algorithms of the keys that are known, for the host to be asked for these first.
    pub fn kinds(&self) -> Vec<&str> {
        let mut kinds: Vec<&str> = self.entries.iter().filter(|it| !it.revoked).map(|it| it.kind.as_str()).collect();
        kinds.dedup();
        kinds
    }

    /// What the lists say of a key.
    pub fn judge(&self, key: &[u8]) -> Verdict {
        let same = |entry: &&Entry| entry.key == key;
        if self.entries.iter().filter(same).any(|entry| entry.revoked) {
            return Verdict::Revoked;
        }
        let mut believed = self.entries.iter().filter(|entry| !entry.revoked);
        let kind = kind_of(key);
        match (believed.clone().any(|entry| entry.key == key), believed.any(|entry| Some(entry.kind.as_str()) == kind))
        {
            (true, _) => Verdict::Known,
            (false, true) => Verdict::Changed,
            (false, false) => Verdict::Unknown,
        }
    }
}

/// The algorithm that a key on the wire begins with.
fn kind_of(key: &[u8]) -> Option<&str> {
    let (length, rest) = key.split_first_chunk::<4>()?;
    std::str::from_utf8(rest.get(..u32::from_be_bytes(*length) as usize)?).ok()
}

/// The entry of a line, where it is one for this host.
fn entry(line: &str, host: &str) -> Option<Entry> {
    let mut words = line.split_ascii_whitespace();
    let mut first = words.next().filter(|word| !word.starts_with('#'))?;
    let marker = first.strip_prefix('@');
    if marker.is_some() {
        first = words.next()?;
    }
    let revoked = match marker {
        None => false,
        Some("revoked") => true,
        Some(_) => return None,
    };
    if !names(first, host) {
        return None;
    }
    let kind = words.next()?.to_owned();
    let key = STANDARD.decode(words.next()?).ok()?;
    (kind_of(&key) == Some(kind.as_str())).then_some(Entry { revoked, kind, key })
}

/// Whether the first word of a line means a host.
fn names(word: &str, host: &str) -> bool {
    if let Some(hashed) = word.strip_prefix("|1|") {
        let parts = hashed.split_once('|').and_then(|(salt, hash)| Some((STANDARD.decode(salt).ok()?, hash)));
        return parts.is_some_and(|(salt, hash)| STANDARD.decode(hash).is_ok_and(|hash| hash == hmac(&salt, host)));
    }
    let mut found = false;
    for pattern in word.split(',') {
        match pattern.strip_prefix('!') {
            Some(not) if matches(not, host) => return false,
            Some(_) => {}
            None => found |= matches(pattern, host),
        }
    }
    found
}

/// Whether a pattern with `*` and `?` matches a name. Without case; in time that grows with the product of both lengths.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.to_ascii_lowercase().into_bytes(), name.as_bytes());
    let (mut at, mut here) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while here < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, here));
                at += 1;
            }
            Some(letter) if *letter == b'?' || *letter == name[here] => {
                at += 1;
                here += 1;
            }
            _ => match star {
                // The last star takes one letter more.
                Some((position, taken)) => {
                    star = Some((position, taken + 1));
                    at = position + 1;
                    here = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|letter| *letter == b'*')
}

/// HMAC-SHA1 (RFC 2104) of a name with a salt, by which lists hide names.
fn hmac(salt: &[u8], name: &str) -> Vec<u8> {
    let mut key = [0; 64];
    if salt.len() > key.len() {
        key[..20].copy_from_slice(&Sha1::digest(salt));
    } else {
        key[..salt.len()].copy_from_slice(salt);
    }
    let pad = |byte: u8| key.map(|it| it ^ byte);
    let inner = Sha1::new().chain_update(pad(0x36)).chain_update(name).finalize();
    Sha1::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: &str, seed: u8) -> Vec<u8> {
        [&(kind.len() as u32).to_be_bytes(), kind.as_bytes(), &[0, 0, 0, 4, seed, 1, 2, 3]].concat()
    }

    fn line(names: &str, kind: &str, seed: u8) -> String {
        format!("{names} {kind} {} a comment\n", STANDARD.encode(key(kind, seed)))
    }

    fn judge(list: &str, host: &str, kind: &str, seed: u8) -> Verdict {
        let mut known = KnownHost::default();
        known.add(list, host);
        known.judge(&key(kind, seed))
    }

    #[test]
    fn names_of_every_form_are_found() {
        // ssh-keygen -H made this of "esx1.example".
        let hashed = "|1|6Fg4RKQDwdM+0v2uO0iovfm02z8=|NU094J8RIkb6x6OAswj2UOMtGTQ=";
        for (word, host, found) in [
            ("esx1", "esx1", true),
            ("ESX1,other", "esx1", true),
            ("esx1", "esx12", false),
            ("esx*", "esx12", true),
            ("*.example,!bad.example", "a.example", true),
            ("*.example,!bad.example", "bad.example", false),
            ("!esx1", "esx1", false),
            ("esx?", "esx1", true),
            ("esx?", "esx", false),
            ("[esx1]:2222", "[esx1]:2222", true),
            ("esx1", "[esx1]:2222", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "xxaxxbxx", false),
            (hashed, "esx1.example", true),
            (hashed, "esx2.example", false),
            ("|1|x|y", "esx1", false),
        ] {
            assert_eq!(names(word, host), found, "{word} {host}");
        }
    }

    #[test]
    fn hmac_is_that_of_the_standard() {
        // RFC 2202, test cases 1, 2 and 6.
        let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(hex(hmac(&[0x0b; 20], "Hi There")), "b617318655057264e28bc0b6fb378c8ef146be00");
        assert_eq!(hex(hmac(b"Jefe", "what do ya want for nothing?")), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        let long = "Test Using Larger Than Block-Size Key - Hash Key First";
        assert_eq!(hex(hmac(&[0xaa; 80], long)), "aa4ae5e15272d00e95705637ce8a3b55ed402112");
    }

    #[test]
    fn keys_are_known_changed_revoked_or_unknown() {
        let list = [
            "# a comment\n\nnonsense\nesx1 ssh-ed25519 !!!\n".to_owned(),
            line("esx1", "ssh-ed25519", 1),
            line("@cert-authority *", "ssh-rsa", 1),
            line("@revoked *", "ssh-ed25519", 9),
            // A key that says that it is of another kind.
            line("esx1", "ssh-ed25519", 5).replace(" ssh-ed25519 ", " ssh-rsa "),
        ]
        .concat();
        for (kind, seed, verdict) in [
            ("ssh-ed25519", 1, Verdict::Known),
            ("ssh-ed25519", 2, Verdict::Changed),
            ("ssh-ed25519", 9, Verdict::Revoked),
            ("ssh-rsa", 1, Verdict::Unknown),
        ] {
            assert_eq!(judge(&list, "esx1", kind, seed), verdict, "{kind} {seed}");
        }
        assert_eq!(judge(&list, "esx2", "ssh-ed25519", 1), Verdict::Unknown);
        assert_eq!(judge(&list, "esx2", "ssh-ed25519", 9), Verdict::Revoked);
        // Revoked wins, wherever it stands.
        let both = line("esx1", "ssh-rsa", 3) + &line("@revoked esx1", "ssh-rsa", 3);
        assert_eq!(judge(&both, "esx1", "ssh-rsa", 3), Verdict::Revoked);
        let mut known = KnownHost::default();
        known.add(&list, "esx1");
        assert_eq!(known.kinds(), ["ssh-ed25519"]);
    }
}

//! Certificates for one test: certificate authorities, and the certificates that they issue.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509NameBuilder};

/// The purpose of a certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Use {
    Server,
    Client,
}

/// A certificate, its chain of intermediate certificates, and its key.
pub struct Identity {
    pub certificate: X509,
    pub chain: Vec<X509>,
    pub key: PKey<Private>,
}

/// A certificate authority: a root, or an intermediate authority.
pub struct Authority(Identity);

/// The properties of a certificate to be issued.
pub struct Wish<'a> {
    pub names: &'a [&'a str],
    pub addresses: &'a [&'a str],
    pub usage: Use,
    /// The period of validity, in days from now.
    pub valid: std::ops::Range<i64>,
}

impl Default for Wish<'_> {
    fn default() -> Self {
        Self { names: &["localhost"], addresses: &["127.0.0.1", "::1"], usage: Use::Server, valid: -1..1 }
    }
}

fn new_key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

fn builder(
    name: &str,
    key: &PKey<Private>,
    issuer: Option<&Identity>,
    valid: std::ops::Range<i64>,
) -> X509Builder {
    let mut subject = X509NameBuilder::new().unwrap();
    subject.append_entry_by_nid(Nid::COMMONNAME, name).unwrap();
    let subject = subject.build();
    let mut serial = BigNum::new().unwrap();
    serial.rand(128, MsbOption::MAYBE_ZERO, false).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let day = |day: i64| Asn1Time::from_unix(i64::try_from(now.as_secs()).unwrap() + day * 86_400).unwrap();

    let mut builder = X509Builder::new().unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(&subject).unwrap();
    builder.set_issuer_name(issuer.map_or(&*subject, |issuer| issuer.certificate.subject_name())).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.set_not_before(&day(valid.start)).unwrap();
    builder.set_not_after(&day(valid.end)).unwrap();
    builder
}

impl Authority {
    pub fn root(name: &str) -> Self {
        Self::new(name, None)
    }

    /// Creates an authority whose certificate is signed by this one.
    pub fn intermediate(&self, name: &str) -> Self {
        Self::new(name, Some(&self.0))
    }

    fn new(name: &str, issuer: Option<&Identity>) -> Self {
        let key = new_key();
        let mut builder = builder(name, &key, issuer, -1..10);
        builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
        let usage = KeyUsage::new().critical().key_cert_sign().crl_sign().build().unwrap();
        builder.append_extension(usage).unwrap();
        builder.sign(issuer.map_or(&key, |issuer| &issuer.key), MessageDigest::sha256()).unwrap();
        Self(Identity { certificate: builder.build(), chain: chain(issuer), key })
    }

    /// Returns the certificate and key of the authority, so that a server can use them.
    pub fn into_identity(self) -> Identity {
        self.0
    }

    pub fn certificate(&self) -> &X509 {
        &self.0.certificate
    }

    pub fn issue(&self, wish: &Wish<'_>) -> Identity {
        let key = new_key();
        let name = wish.names.first().unwrap_or(&"nobody");
        let mut builder = builder(name, &key, Some(&self.0), wish.valid.clone());
        let mut alternatives = SubjectAlternativeName::new();
        for name in wish.names {
            alternatives.dns(name);
        }
        for address in wish.addresses {
            alternatives.ip(address);
        }
        if !wish.names.is_empty() || !wish.addresses.is_empty() {
            let context = builder.x509v3_context(Some(&self.0.certificate), None);
            let extension = alternatives.build(&context).unwrap();
            builder.append_extension(extension).unwrap();
        }
        let mut usage = ExtendedKeyUsage::new();
        match wish.usage {
            Use::Server => usage.server_auth(),
            Use::Client => usage.client_auth(),
        };
        builder.append_extension(usage.build().unwrap()).unwrap();
        builder.sign(&self.0.key, MessageDigest::sha256()).unwrap();
        Identity { certificate: builder.build(), chain: chain(Some(&self.0)), key }
    }

    /// Writes the certificate to a file, which is deleted with the folder.
    pub fn write(&self, folder: &Folder) -> PathBuf {
        folder.write("root.pem", &self.certificate().to_pem().unwrap())
    }
}

/// Returns the certificates that are sent with an issued certificate: all issuers except the root.
fn chain(issuer: Option<&Identity>) -> Vec<X509> {
    let Some(issuer) = issuer else { return Vec::new() };
    if issuer.certificate.subject_name().try_cmp(issuer.certificate.issuer_name()).unwrap().is_eq() {
        return Vec::new();
    }
    let mut chain = vec![issuer.certificate.clone()];
    chain.extend(issuer.chain.iter().cloned());
    chain
}

impl Identity {
    /// Writes the chain and the key to files, which are deleted with the folder.
    pub fn write(&self, folder: &Folder) -> (PathBuf, PathBuf) {
        let mut chain = self.certificate.to_pem().unwrap();
        self.chain.iter().for_each(|issuer| chain.extend(issuer.to_pem().unwrap()));
        let key = self.key.private_key_to_pem_pkcs8().unwrap();
        (folder.write("chain.pem", &chain), folder.write("key.pem", &key))
    }
}

pub fn common_name(certificate: &openssl::x509::X509Ref) -> String {
    let mut entries = certificate.subject_name().entries_by_nid(Nid::COMMONNAME);
    entries.next().unwrap().data().to_string().unwrap()
}

/// A folder for the files of one test.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("sockeye-tls-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let path = self.0.join(format!("{}-{name}", COUNT.fetch_add(1, Ordering::Relaxed)));
        fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

//! A self-signed certificate that is created at startup and never stored.

use sockeye::openssl::asn1::Asn1Time;
use sockeye::openssl::bn::{BigNum, MsbOption};
use sockeye::openssl::ec::{EcGroup, EcKey};
use sockeye::openssl::error::ErrorStack;
use sockeye::openssl::hash::MessageDigest;
use sockeye::openssl::nid::Nid;
use sockeye::openssl::pkey::{PKey, Private};
use sockeye::openssl::ssl::{SslAcceptor, SslMethod};
use sockeye::openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use sockeye::openssl::x509::{X509, X509NameBuilder};

/// Creates an acceptor for localhost. No client trusts its certificate; use a real one for anything but experiments.
pub(crate) fn acceptor() -> Result<SslAcceptor, ErrorStack> {
    let key = PKey::from_ec_key(EcKey::generate(&*EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?)?)?;
    let certificate = self_signed(&key)?;
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    acceptor.set_private_key(&key)?;
    acceptor.set_certificate(&certificate)?;
    Ok(acceptor.build())
}

fn self_signed(key: &PKey<Private>) -> Result<X509, ErrorStack> {
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_nid(Nid::COMMONNAME, "localhost")?;
    let name = name.build();
    let mut serial = BigNum::new()?;
    serial.rand(128, MsbOption::MAYBE_ZERO, false)?;

    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    builder.set_serial_number(&*serial.to_asn1_integer()?)?;
    builder.set_subject_name(&name)?;
    builder.set_issuer_name(&name)?;
    builder.set_pubkey(key)?;
    builder.set_not_before(&*Asn1Time::days_from_now(0)?)?;
    builder.set_not_after(&*Asn1Time::days_from_now(7)?)?;
    builder.append_extension(BasicConstraints::new().critical().build()?)?;
    let names = SubjectAlternativeName::new()
        .dns("localhost")
        .ip("127.0.0.1")
        .ip("::1")
        .build(&builder.x509v3_context(None, None))?;
    builder.append_extension(names)?;
    builder.sign(key, MessageDigest::sha256())?;
    Ok(builder.build())
}

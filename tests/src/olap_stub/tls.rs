//! An authority that nobody knows, and a certificate of it for `localhost`.

use std::sync::Arc;

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Name, X509NameBuilder};

const KEY_BITS: u32 = 2048;
const DAYS: u32 = 2;

/// Signs the certificate of a stub.
pub struct Authority {
    certificate: X509,
    server: X509,
    key: PKey<Private>,
}

impl Authority {
    /// # Panics
    /// There is no randomness.
    pub fn new() -> Authority {
        made().expect("certificates")
    }

    /// Its own certificate, as a file of authorities has it.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn pem(&self) -> String {
        let pem = self.certificate.to_pem().expect("PEM");
        String::from_utf8(pem).expect("text")
    }

    pub(super) fn acceptor(&self) -> Arc<SslAcceptor> {
        let make = || {
            let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls())?;
            builder.set_private_key(&self.key)?;
            builder.set_certificate(&self.server)?;
            Ok::<_, ErrorStack>(builder.build())
        };
        Arc::new(make().expect("TLS"))
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

fn made() -> Result<Authority, ErrorStack> {
    let (root_key, key) =
        (PKey::from_rsa(Rsa::generate(KEY_BITS)?)?, PKey::from_rsa(Rsa::generate(KEY_BITS)?)?);
    let (root_name, name) = (named("millrace test authority")?, named("localhost")?);
    let mut root = begun(1, &root_name, &root_name, &root_key)?;
    root.append_extension(BasicConstraints::new().critical().ca().build()?)?;
    root.sign(&root_key, MessageDigest::sha256())?;
    let certificate = root.build();
    let mut server = begun(2, &name, &root_name, &key)?;
    let hosts = SubjectAlternativeName::new()
        .dns("localhost")
        .build(&server.x509v3_context(Some(&certificate), None))?;
    server.append_extension(hosts)?;
    server.sign(&root_key, MessageDigest::sha256())?;
    Ok(Authority { certificate, server: server.build(), key })
}

fn named(name: &str) -> Result<X509Name, ErrorStack> {
    let mut builder = X509NameBuilder::new()?;
    builder.append_entry_by_text("CN", name)?;
    Ok(builder.build())
}

fn begun(
    number: u32,
    subject: &X509Name,
    issuer: &X509Name,
    key: &PKey<Private>,
) -> Result<X509Builder, ErrorStack> {
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    let (number, start, end) =
        (BigNum::from_u32(number)?, Asn1Time::days_from_now(0)?, Asn1Time::days_from_now(DAYS)?);
    builder.set_serial_number(number.to_asn1_integer()?.as_ref())?;
    builder.set_subject_name(subject)?;
    builder.set_issuer_name(issuer)?;
    builder.set_pubkey(key)?;
    builder.set_not_before(&start)?;
    builder.set_not_after(&end)?;
    Ok(builder)
}

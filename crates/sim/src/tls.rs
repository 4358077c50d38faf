//! Certificates of simulators: one to trust and one nobody should.
//!
//! Owns their making; keys live only in memory.

use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use crate::config::Tls;

/// Failing to make a certificate or a TLS server of it.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate could not be made.
    #[error("make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// The certificate was made but is not accepted.
    #[error("use the certificate")]
    Server(#[from] rustls::Error),
}

/// A TLS server and its certificate in PEM.
pub(crate) struct Identity {
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) certificate_pem: String,
}

/// Makes the identity that `kind` asks for.
pub(crate) fn identity(kind: Tls) -> Result<Option<Identity>, TlsError> {
    let parameters = match kind {
        Tls::None => return Ok(None),
        Tls::SelfSigned => CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?,
        Tls::Bad => {
            let mut parameters = CertificateParams::new(vec!["expired.invalid".to_owned()])?;
            parameters.not_before = date_time_ymd(2019, 1, 1);
            parameters.not_after = date_time_ymd(2020, 1, 1);
            parameters
        }
    };
    let key = KeyPair::generate()?;
    let certificate = parameters.self_signed(&key)?;
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let certificate_pem = certificate.pem();
    Ok(Some(Identity { acceptor: TlsAcceptor::from(Arc::new(config)), certificate_pem }))
}

//! TLS settings: which authorities are trusted, which protocols are offered.
//!
//! Owns the rustls configurations of a transport. The cryptography provider is passed explicitly, so that no
//! process-wide state has to be set before and no other crate's choice can change ours.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::{Http2, Roots, TransportConfig, TransportError};

/// The client configurations of one transport.
#[derive(Debug)]
pub(crate) struct TlsSettings {
    /// Made by the first dial that needs it: reading the operating system's certificates takes longer than everything else
    /// that happens at start, and a gateway whose providers are all local never needs them.
    verified: OnceLock<Arc<ClientConfig>>,
    /// The bundled and given certificates; the operating system's join them later.
    roots: RootCertStore,
    native: bool,
    unverified: Arc<ClientConfig>,
    protocols: Vec<Vec<u8>>,
    /// Present only when hosts are named as insecure.
    insecure: Option<Arc<ClientConfig>>,
    insecure_hosts: Vec<String>,
}

impl TlsSettings {
    pub(crate) fn new(config: &TransportConfig) -> Result<Self, TransportError> {
        let provider = Arc::new(provider());
        let roots = roots(config)?;
        // Shows now whether the provider has the protocol versions, so that the lazy configuration cannot fail.
        let unverified =
            builder(&provider)?.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        let insecure = if config.insecure_hosts.is_empty() {
            None
        } else {
            let verifier = Arc::new(AcceptAnyCertificate { provider: provider.clone() });
            let mut insecure = builder(&provider)?
                .dangerous()
                .with_custom_certificate_verifier(verifier)
                .with_no_client_auth();
            insecure.alpn_protocols = protocols(config.http2);
            Some(Arc::new(insecure))
        };
        for host in &config.insecure_hosts {
            tracing::warn!(host, "certificates of this host are accepted without verification");
        }
        let insecure_hosts = config.insecure_hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        Ok(Self {
            verified: OnceLock::new(),
            roots,
            native: config.roots == Roots::BundledAndNative,
            unverified: Arc::new(unverified),
            protocols: protocols(config.http2),
            insecure,
            insecure_hosts,
        })
    }

    fn verified(&self) -> &Arc<ClientConfig> {
        self.verified.get_or_init(|| {
            let mut roots = self.roots.clone();
            if self.native {
                add_native(&mut roots);
            }
            let provider = self.unverified.crypto_provider();
            // The same builder succeeded at start; without it the empty roots trust nobody, which fails safely.
            let Ok(builder) = builder(provider) else { return Arc::clone(&self.unverified) };
            let mut config = builder.with_root_certificates(roots).with_no_client_auth();
            config.alpn_protocols.clone_from(&self.protocols);
            Arc::new(config)
        })
    }

    pub(crate) fn for_host(&self, host: &str) -> Arc<ClientConfig> {
        match &self.insecure {
            Some(insecure) if self.insecure_hosts.iter().any(|named| named == host) => insecure.clone(),
            _ => self.verified().clone(),
        }
    }
}

#[cfg(feature = "aws-lc")]
fn provider() -> CryptoProvider {
    rustls::crypto::aws_lc_rs::default_provider()
}

#[cfg(all(feature = "ring", not(feature = "aws-lc")))]
fn provider() -> CryptoProvider {
    rustls::crypto::ring::default_provider()
}

fn builder(
    provider: &Arc<CryptoProvider>,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, TransportError> {
    ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| TransportError::Tls(error.to_string()))
}

fn protocols(http2: Http2) -> Vec<Vec<u8>> {
    match http2 {
        Http2::Offer => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        Http2::Off => vec![b"http/1.1".to_vec()],
    }
}

fn add_native(store: &mut RootCertStore) {
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::warn!(%error, "some of the operating system's root certificates could not be read");
    }
    // Some that operating systems carry are too old for webpki to read; the rest are still of use.
    store.add_parsable_certificates(native.certs);
}

fn roots(config: &TransportConfig) -> Result<RootCertStore, TransportError> {
    let mut store = RootCertStore::empty();
    if matches!(config.roots, Roots::Bundled | Roots::BundledAndNative) {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    for (index, pem) in config.extra_roots.iter().enumerate() {
        let refuse = |detail: String| TransportError::ExtraRoot { number: index + 1, detail };
        let certificates = CertificateDer::pem_slice_iter(pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| refuse(error.to_string()))?;
        if certificates.is_empty() {
            return Err(refuse("no certificate in the text".to_owned()));
        }
        for certificate in certificates {
            store.add(certificate).map_err(|error| refuse(error.to_string()))?;
        }
    }
    Ok(store)
}

/// Checks that the server holds the key of the certificate it shows, and asks nothing of the certificate.
#[derive(Debug)]
struct AcceptAnyCertificate {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AcceptAnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

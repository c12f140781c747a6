//! The one TLS stack: rustls with ring.

/// Installs ring as the provider of rustls; must run before the first HTTP client is built.
///
/// Safe to call again: the second installation is refused, and the first one stays.
pub fn init() {
    match rustls::crypto::ring::default_provider().install_default() {
        Ok(()) | Err(_) => {}
    }
}

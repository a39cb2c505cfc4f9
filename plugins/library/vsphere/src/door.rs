//! HTTPS to one server, over HTTP/1.1: a connection of HTTP/2 has one window for all requests, and several connections are several times as fast.

use std::error::Error as _;
use std::io::Read;
use std::time::Duration;

use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::{Method, redirect};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use crate::trust::{Shown, Trust};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(20);
/// How long an answer may take, with all its bytes.
const ANSWER: Duration = Duration::from_secs(120);

/// A door to a server.
#[derive(Debug, Clone)]
pub struct Door {
    client: Client,
    server: String,
    trust: Trust,
    shown: Shown,
}

impl Door {
    /// A door to `server` (host and port as in a URI). Connects to nothing yet.
    pub fn new(server: &str, trust: Trust) -> Result<Self> {
        let (tls, shown) = trust.tls()?;
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .http1_only()
            .no_proxy()
            // What is asked of this server is answered by it, or not at all: a cookie goes nowhere else.
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .tcp_nodelay(true)
            .build()
            .map_err(|error| PluginError::defect(format!("an HTTPS client cannot be made: {}", chain(&error))))?;
        Ok(Self { client, server: server.to_owned(), trust, shown })
    }

    /// Host and port as in a URI.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Host and port, the port even where it is that of HTTPS.
    pub fn endpoint(&self) -> String {
        let has_port = self.server.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
        if has_port { self.server.clone() } else { format!("{}:443", self.server) }
    }

    /// Whom it believes.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The SHA-1 of the certificate that the server showed and that was believed, with colons; `None`: nothing was asked yet.
    pub fn shown_thumbprint(&self) -> Option<String> {
        self.shown.believed().map(|digest| digest.to_string())
    }

    /// A request for a path, which begins with a slash and is escaped.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("https://{}{path}", self.server))
    }

    /// Sends a request.
    pub fn send(&self, request: RequestBuilder) -> Result<Response> {
        let _ = self.shown.take_refused();
        request.send().map_err(|error| self.failed(&error))
    }

    /// All of an answer, which may have at most `limit` bytes.
    pub fn text(&self, answer: Response, limit: u64) -> Result<String> {
        let mut bytes = Vec::new();
        let mut body = answer.take(limit + 1);
        body.read_to_end(&mut bytes).map_err(|error| self.broken(&error))?;
        if bytes.len() as u64 > limit {
            return Err(PluginError::unusable(format!(
                "{}: an answer is longer than {} MiB",
                self.server,
                limit >> 20
            )));
        }
        String::from_utf8(bytes).map_err(|_| PluginError::unusable(format!("{}: an answer is not UTF-8", self.server)))
    }

    /// The error of an answer that broke off.
    pub fn broken(&self, error: &std::io::Error) -> PluginError {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<reqwest::Error>());
        let why = inner.map_or_else(|| error.to_string(), chain);
        PluginError::io(format!("{}: the connection broke: {}", self.server, escape(&why)))
    }

    fn failed(&self, error: &reqwest::Error) -> PluginError {
        if let Some(shown) = self.shown.take_refused() {
            return self.not_believed(&shown.to_string());
        }
        if error.is_timeout() {
            let what = format!("{} does not answer in time", self.server);
            return PluginError::new(ErrorKind::Temporary, what).hint("run the same command again");
        }
        PluginError::io(format!("{} cannot be reached: {}", self.server, escape(&chain(error))))
            .hint("check the address and the way to it, then run the same command again")
    }

    fn not_believed(&self, shown: &str) -> PluginError {
        let server = &self.server;
        let see = "to read the server's own, run `openssl x509 -noout -fingerprint -sha256 -in /etc/vmware-vpx/ssl/rui.crt` on a vCenter, \
                   /etc/vmware/ssl/rui.crt on a host";
        match &self.trust.pin {
            Some(pin) => PluginError::new(
                ErrorKind::Auth,
                format!("{server} shows another certificate than the pinned {pin}: its SHA-256 is {shown} (thumbprint-changed)"),
            )
            .hint(format!("the connection may be intercepted, unless the certificate was renewed: {see}; if it matches, pin the new one")),
            None => PluginError::new(
                ErrorKind::Auth,
                format!("the certificate of {server} is not trusted; its SHA-256 is {shown} (thumbprint-unknown)"),
            )
            .hint(format!("{see}; when it is the same, pin it: 'vsphere://{server}/...?thumbprint={shown}'")),
        }
    }
}

/// An error with all its causes, without the address that was asked: a query may name what is nobody's business.
fn chain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut next = error.source();
    while let Some(cause) = next {
        // The last cause says it; those before only where it happened.
        text = cause.to_string();
        next = cause.source();
    }
    if text.is_empty() { "the request failed".to_owned() } else { text }
}

//! Requests: proxies, certificates and the Hub's token come from the environment.

use astill_core::{Error, Result};
use std::io::Read;
use std::time::{Duration, Instant};
use ureq::Agent;
use ureq::http::Response;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};

/// A server that sends nothing for this long is given up, and asked again for the rest.
const SILENCE: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(30);
const REDIRECTS: u32 = 5;
/// How often it is looked whether anybody still wants what is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Sends requests.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    /// The address of the Hub, without a slash at its end.
    pub hub: String,
    token: Option<String>,
    /// How long to wait before an address is tried again, by how often it has failed.
    pub pause: fn(u32) -> Duration,
}

/// An answer with its body still to come.
pub struct Answer {
    pub status: u16,
    /// Of the body, where the server says so.
    pub length: Option<u64>,
    /// The place and the length of the whole in `Content-Range: bytes 5-9/10`.
    pub range: Option<(u64, Option<u64>)>,
    /// What names this version of the file: a strong ETag, or the time of its last change.
    pub validator: Option<String>,
    pub link: Option<String>,
    pub body: Box<dyn Read + Send>,
}

impl Client {
    /// `variable` looks into the environment: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY (which
    /// ureq reads itself), SSL_CERT_FILE, HF_ENDPOINT and HF_TOKEN.
    ///
    /// # Errors
    /// [`Error::Usage`] if SSL_CERT_FILE names a file without certificates.
    pub fn new(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let set = |name: &str| variable(name).filter(|v| !v.is_empty());
        let mut tls = TlsConfig::builder();
        if let Some(path) = set("SSL_CERT_FILE") {
            tls = tls.root_certs(certificates(&path)?);
        }
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(REDIRECTS)
            .user_agent(concat!("astill/", env!("CARGO_PKG_VERSION")))
            // a compressed body would have neither the length nor the ranges of the file
            .accept_encoding("identity")
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .tls_config(tls.build())
            .build()
            .new_agent();
        let hub = set("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into());
        Ok(Self {
            agent,
            hub: hub.trim_end_matches('/').into(),
            token: set("HF_TOKEN"),
            pause: |failures| Duration::from_secs(1 << failures.min(5)),
        })
    }

    /// Waits before an address is tried again that has failed so often.
    ///
    /// # Errors
    /// [`Error::Interrupted`] if `is_ended` says so meanwhile.
    pub fn pause_after(&self, failures: u32, is_ended: &dyn Fn() -> bool) -> Result<()> {
        let (begin, pause) = (Instant::now(), (self.pause)(failures));
        loop {
            if is_ended() {
                return Err(Error::Interrupted);
            }
            match pause.saturating_sub(begin.elapsed()) {
                Duration::ZERO => return Ok(()),
                left => std::thread::sleep(left.min(LOOK_AGAIN)),
            }
        }
    }

    /// Asks for what is at `url`, from byte `from` on if that is not 0 and the file is still the one
    /// that `validator` names.
    ///
    /// # Errors
    /// No answer, in words for people.
    pub fn get(
        &self,
        url: &str,
        from: u64,
        validator: Option<&str>,
    ) -> std::result::Result<Answer, String> {
        let mut request = self.agent.get(url);
        if from > 0 {
            request = request.header("Range", format!("bytes={from}-"));
            if let Some(validator) = validator {
                request = request.header("If-Range", validator);
            }
        }
        // never to another server: ureq leaves it out when it follows a redirect
        let is_hub = url
            .strip_prefix(&self.hub)
            .is_some_and(|p| p.starts_with('/'));
        if let Some(token) = self.token.as_ref().filter(|_| is_hub) {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let answer = request.call().map_err(|e| e.to_string())?;
        let header = |name: &str| text(&answer, name);
        let length = header("content-length").and_then(|l| l.parse().ok());
        let range = header("content-range").as_deref().and_then(content_range);
        let validator = header("etag")
            .filter(|tag| tag.starts_with('"'))
            .or_else(|| header("last-modified"));
        Ok(Answer {
            status: answer.status().as_u16(),
            length,
            range,
            validator,
            link: header("link"),
            body: Box::new(answer.into_body().into_reader()),
        })
    }
}

fn text(answer: &Response<ureq::Body>, name: &str) -> Option<String> {
    let value = answer.headers().get(name)?;
    value.to_str().ok().map(str::to_string)
}

/// "bytes 5-9/10" → (5, 10); "bytes 5-9/*" → (5, unknown).
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, whole) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (from, _) = range.split_once('-')?;
    Some((from.trim().parse().ok()?, whole.trim().parse().ok()))
}

fn certificates(path: &str) -> Result<RootCerts> {
    let bad = |problem: String| {
        Error::Usage(format!(
            "SSL_CERT_FILE is {path}, which {problem}; name a file of certificates in PEM, or unset it"
        ))
    };
    let pem = std::fs::read(path).map_err(|e| bad(format!("cannot be read: {e}")))?;
    let found: Vec<Certificate<'static>> = ureq::tls::parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    match found.is_empty() {
        true => Err(bad("holds no certificate".into())),
        false => Ok(RootCerts::from(found)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_part_is_read() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, None)));
        for strange in [
            "",
            "bytes */10",
            "items 5-9/10",
            "bytes x-9/10",
            "bytes 99999999999999999999-1/2",
        ] {
            assert_eq!(content_range(strange), None, "{strange}");
        }
    }
}

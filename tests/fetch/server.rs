//! A web server on this machine that behaves as badly as a test wants.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Request {
    pub path: String,
    /// Lower-case names.
    pub headers: Vec<(String, String)>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The N of "Range: bytes=N-".
    pub fn from(&self) -> Option<usize> {
        let range = self.header("range")?;
        range
            .strip_prefix("bytes=")?
            .strip_suffix('-')?
            .parse()
            .ok()
    }
}

/// An answer as it goes over the wire; `cut` closes the connection after so many bytes of the body.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub cut: Option<usize>,
    /// After what is sent, the connection stays open and silent.
    pub stall: bool,
}

impl Reply {
    pub fn new(status: u16, body: &[u8]) -> Self {
        Self {
            status,
            headers: vec![("content-length".into(), body.len().to_string())],
            body: body.to_vec(),
            cut: None,
            stall: false,
        }
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(n, _)| n != name);
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn cut(mut self, after: usize) -> Self {
        self.cut = Some(after);
        self
    }

    pub fn stall(mut self) -> Self {
        self.stall = true;
        self
    }
}

/// A whole file, or the part that is asked for, if its version is still `etag`.
pub fn file(request: &Request, bytes: &[u8], etag: &str) -> Reply {
    let is_same = request.header("if-range").is_none_or(|v| v == etag);
    match request.from().filter(|_| is_same) {
        Some(from) if from >= bytes.len() => {
            Reply::new(416, b"").with("content-range", &format!("bytes */{}", bytes.len()))
        }
        Some(from) => Reply::new(206, &bytes[from..]).with(
            "content-range",
            &format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len()),
        ),
        None => Reply::new(200, bytes),
    }
    .with("etag", etag)
}

type Handler = dyn Fn(&Request, usize) -> Reply + Send + Sync;

/// Runs until the test program ends.
pub struct Server {
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// `answer` gets the request and how many came before it.
    pub fn start(
        answer: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}", listener.local_addr()?);
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (seen, answer): (_, Arc<Handler>) = (requests.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, answer) = (seen.clone(), answer.clone());
                // a client that goes away is none of the server's business
                std::thread::spawn(move || _ = serve(stream, &seen, &*answer));
            }
        });
        Ok(Self { url, requests })
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().map(|r| r.clone()).unwrap_or_default()
    }
}

fn serve(
    mut stream: TcpStream,
    seen: &Mutex<Vec<Request>>,
    answer: &Handler,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let Some((method, path, headers)) = head(&mut reader)? else {
            return Ok(());
        };
        if method == "CONNECT" {
            // as a proxy: what follows is meant for the other server, which is this one
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
            continue;
        }
        let request = Request { path, headers };
        let before = match seen.lock() {
            Ok(mut all) => {
                all.push(request.clone());
                all.len() - 1
            }
            Err(_) => return Ok(()),
        };
        let reply = answer(&request, before);
        let mut text = format!("HTTP/1.1 {} X\r\nconnection: close\r\n", reply.status);
        for (name, value) in &reply.headers {
            text += &format!("{name}: {value}\r\n");
        }
        stream.write_all((text + "\r\n").as_bytes())?;
        let length = reply.cut.unwrap_or(reply.body.len()).min(reply.body.len());
        stream.write_all(&reply.body[..length])?;
        stream.flush()?;
        if reply.stall {
            // until the client goes
            let mut rest = Vec::new();
            let _ = std::io::Read::read_to_end(&mut reader, &mut rest);
        }
        return Ok(());
    }
}

type Head = (String, String, Vec<(String, String)>);

fn head(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Head>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_string);
    let (method, path) = (words.next(), words.next());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_lowercase(), value.trim().to_string())),
            None => break,
        }
    }
    Ok(method.zip(path).map(|(m, p)| (m, p, headers)))
}

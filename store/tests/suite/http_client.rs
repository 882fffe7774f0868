//! The little of HTTP/1.1 that the tests speak: one request at a time on one connection, whole answers and lines.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long an answer may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection to a server.
pub struct HttpClient {
    stream: BufReader<TcpStream>,
}

/// The answer to a request, up to its body.
#[derive(Debug)]
pub struct Head {
    pub status: u16,
    pub headers: Vec<(String, String)>,
}

impl Head {
    /// A header, empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

impl HttpClient {
    pub fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// Sends a request and returns all of the answer.
    pub fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (Head, Vec<u8>) {
        let head = self.begin(method, path, headers, body);
        let mut answer = Vec::new();
        if head.header("transfer-encoding") == "chunked" {
            while let Some(chunk) = self.chunk() {
                answer.extend(chunk);
            }
        } else {
            answer.resize(head.header("content-length").parse().unwrap_or(0), 0);
            self.stream.read_exact(&mut answer).unwrap();
        }
        (head, answer)
    }

    /// Sends a request and returns the answer up to its body.
    pub fn begin(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Head {
        self.send(method, path, headers, body);
        self.head()
    }

    /// Sends a request.
    pub fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            request.extend([name, ": ", value, "\r\n"]);
        }
        request.push_str("\r\n");
        // Of a request that is too large the program need not read all before it answers and closes: then the answer tells.
        let _ = self.stream.get_mut().write_all(&[request.as_bytes(), body].concat());
    }

    /// The answer to the request that was sent, up to its body.
    pub fn head(&mut self) -> Head {
        let status = self.line().unwrap();
        let status = status.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        while let Some(line) = self.line().filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').unwrap();
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Head { status, headers }
    }

    /// The next piece of a streamed answer; `None` at its end. The gateway makes every line a piece.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = usize::from_str_radix(&self.line()?, 16).unwrap();
        let mut chunk = vec![0; size];
        self.stream.read_exact(&mut chunk).unwrap();
        assert_eq!(self.line().unwrap(), "");
        (size > 0).then_some(chunk)
    }

    /// Like [`chunk`](Self::chunk), but `None` as well if nothing comes for so long.
    pub fn chunk_within(&mut self, patience: Duration) -> Option<Vec<u8>> {
        self.stream.get_ref().set_read_timeout(Some(patience)).unwrap();
        let comes = self.stream.fill_buf().is_ok_and(|bytes| !bytes.is_empty());
        self.stream.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
        if comes { self.chunk() } else { None }
    }

    /// The next line without its end; `None` if the connection was closed.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        (self.stream.read_line(&mut line).unwrap() > 0).then(|| line.trim_end().to_owned())
    }
}

//! As much of PostgreSQL's protocol as COPY needs: diesel copies tables that it knows when it is compiled, and these are found at run time.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
};

/// A connection that speaks simple queries.
pub(super) struct Wire(TcpStream);

/// What a COPY came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Copied {
    /// The lines of a COPY TO.
    Lines(Vec<String>),
    /// The server would have taken rows.
    TakesRows,
    /// The message of an error.
    Refused(String),
}

impl Wire {
    /// Connects to `postgres://role@host:port/database`. Nobody needs a password here.
    pub(super) fn connect(url: &str) -> io::Result<Self> {
        let parts = url.strip_prefix("postgres://").and_then(|rest| {
            let (role, rest) = rest.split_once('@')?;
            let (host, database) = rest.split_once('/')?;
            Some((role, host, database))
        });
        let (role, host, database) = parts.ok_or(io::ErrorKind::InvalidInput)?;
        let mut wire = Self(TcpStream::connect(host)?);
        let mut startup = 196_608_u32.to_be_bytes().to_vec();
        for text in ["user", role, "database", database, ""] {
            startup.extend(text.bytes().chain([0]));
        }
        wire.send(None, &startup)?;
        while wire.receive()?.0 != b'Z' {}
        Ok(wire)
    }

    /// Runs one statement, and says what a COPY came to.
    pub(super) fn run(&mut self, sql: &str) -> io::Result<Copied> {
        self.send(Some(b'Q'), format!("{sql}\0").as_bytes())?;
        let mut lines = Vec::new();
        let mut ended = None;
        loop {
            let (kind, body) = self.receive()?;
            match kind {
                b'd' => lines.push(String::from_utf8_lossy(&body).trim_end().to_owned()),
                b'G' => {
                    ended.get_or_insert(Copied::TakesRows);
                    self.send(Some(b'f'), b"enough\0")?;
                }
                b'E' => {
                    ended.get_or_insert_with(|| Copied::Refused(message(&body)));
                }
                b'Z' => return Ok(ended.unwrap_or(Copied::Lines(lines))),
                _ => {}
            }
        }
    }

    fn send(&mut self, kind: Option<u8>, body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(body.len() + 4).map_err(io::Error::other)?;
        let head = kind.into_iter().chain(length.to_be_bytes());
        self.0
            .write_all(&head.chain(body.iter().copied()).collect::<Vec<_>>())
    }

    fn receive(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let [kind, length @ ..] = {
            let mut head = [0; 5];
            self.0.read_exact(&mut head)?;
            head
        };
        let length = u32::from_be_bytes(length).saturating_sub(4);
        let mut body = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.0.read_exact(&mut body)?;
        Ok((kind, body))
    }
}

/// The field `M` of an error.
fn message(body: &[u8]) -> String {
    let mut fields = body.split(|byte| *byte == 0);
    let message = fields.find_map(|field| field.strip_prefix(b"M"));
    String::from_utf8_lossy(message.unwrap_or_default()).into_owned()
}

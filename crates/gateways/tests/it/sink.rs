//! A mail server of some lines, on loopback.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// What the server has heard.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) connections: usize,
    pub(crate) mails: Vec<String>,
    pub(crate) commands: Vec<String>,
}

/// A running server.
pub(crate) struct Sink {
    pub(crate) url: String,
    heard: Arc<Mutex<Heard>>,
}

impl Sink {
    /// Answers `RCPT TO` with `answer`; everything else goes well.
    pub(crate) async fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Heard::default()));
        let server = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                server.lock().unwrap().connections += 1;
                tokio::spawn(converse(stream, Arc::clone(&server), answer));
            }
        });
        Self { url, heard }
    }

    pub(crate) fn heard<T>(&self, look: impl FnOnce(&Heard) -> T) -> T {
        look(&self.heard.lock().unwrap())
    }
}

async fn converse(stream: TcpStream, heard: Arc<Mutex<Heard>>, rcpt: &'static str) -> Option<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    write.write_all(b"220 sink ESMTP\r\n").await.ok()?;
    while let Some(line) = lines.next_line().await.ok()? {
        heard.lock().unwrap().commands.push(line.clone());
        let answer = match line.split([' ', ':']).next().unwrap_or_default() {
            "EHLO" => "250-sink\r\n250 8BITMIME",
            "RCPT" => rcpt,
            "DATA" => {
                write.write_all(b"354 go on\r\n").await.ok()?;
                let mut mail = String::new();
                while let Some(line) = lines.next_line().await.ok()?.filter(|line| line != ".") {
                    mail.push_str(line.strip_prefix('.').unwrap_or(&line));
                    mail.push('\n');
                }
                heard.lock().unwrap().mails.push(mail);
                "250 taken"
            }
            "QUIT" => "221 bye",
            _ => "250 fine",
        };
        write
            .write_all(format!("{answer}\r\n").as_bytes())
            .await
            .ok()?;
    }
    Some(())
}

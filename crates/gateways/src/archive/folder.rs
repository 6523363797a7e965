//! A folder of files: of each month one with its events, `<month>.csv.gz`, and one that vouches for it, `<month>.manifest.json`.
//!
//! The events are written under another name, forced to disk, and renamed; then the manifest is. So a manifest is there only when its events
//! are, whole and safe from a loss of power, whenever the process or the machine stops.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use usage::retention::{Archive, ArchiveError, ArchiveWriter, Archived, ArchivedEvent, Partition};

use super::csv;

/// Bytes that are written, or compared, at once.
const BUFFER: usize = 256 * 1024;

/// Writes each month of events as one compressed file of CSV, and a manifest beside it.
#[derive(Debug, Clone)]
pub struct FolderArchive {
    folder: PathBuf,
}

/// What vouches for a month.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    partition: String,
    file: String,
    format: String,
    /// Events, which is lines without the first.
    events: u64,
    /// Size of the file.
    bytes: u64,
    /// Of the file, in hexadecimal.
    sha256: String,
    /// When its events were received.
    #[serde(with = "time::serde::rfc3339")]
    received_from: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    received_to: OffsetDateTime,
}

impl FolderArchive {
    /// An archive in `folder`, which is made when it is not there.
    ///
    /// # Errors
    /// [`ArchiveError`] when it cannot be made.
    pub fn new(folder: impl Into<PathBuf>) -> Result<Self, ArchiveError> {
        let folder = folder.into();
        fs::create_dir_all(&folder).map_err(|error| failed(&folder, &error))?;
        Ok(Self { folder })
    }

    fn manifest(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.manifest.json"))
    }
}

impl Archive for FolderArchive {
    fn find(&self, partition: &Partition) -> Result<Option<Archived>, ArchiveError> {
        let path = self.manifest(&partition.name);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&path, &error)),
        };
        let manifest: Manifest =
            serde_json::from_slice(&text).map_err(|error| failed(&path, &error))?;
        let file = self.folder.join(&manifest.file);
        let (bytes, sha256) = digest(&file).map_err(|error| failed(&file, &error))?;
        if (bytes, &sha256) != (manifest.bytes, &manifest.sha256) {
            return Err(ArchiveError(format!(
                "{} is not what its manifest says: {bytes} bytes with SHA-256 {sha256}",
                file.display()
            )));
        }
        Ok(Some(Archived {
            events: manifest.events,
            place: file.display().to_string(),
        }))
    }

    fn begin(&self, partition: &Partition) -> Result<Box<dyn ArchiveWriter>, ArchiveError> {
        let file = format!("{}.csv.gz", partition.name);
        let unfinished = self.folder.join(format!(".{file}.unfinished"));
        let begin = || {
            // Whoever still writes to the one before writes to a file that has no name any more.
            match fs::remove_file(&unfinished) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let out = BufWriter::with_capacity(BUFFER, File::create_new(&unfinished)?);
            let mut out = GzEncoder::new(Hashed::new(out), Compression::default());
            out.write_all(csv::HEADER.as_bytes())?;
            Ok(out)
        };
        let out = begin().map_err(|error: io::Error| failed(&unfinished, &error))?;
        Ok(Box::new(Writer {
            archive: self.clone(),
            partition: partition.clone(),
            file,
            unfinished,
            out,
            events: 0,
        }))
    }
}

/// A file on its way.
struct Writer {
    archive: FolderArchive,
    partition: Partition,
    file: String,
    unfinished: PathBuf,
    out: GzEncoder<Hashed<BufWriter<File>>>,
    events: u64,
}

impl ArchiveWriter for Writer {
    fn write(&mut self, events: &[ArchivedEvent]) -> Result<(), ArchiveError> {
        for event in events {
            csv::line(&mut self.out, event).map_err(|error| failed(&self.unfinished, &error))?;
            self.events += 1;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), ArchiveError> {
        let Self {
            archive,
            partition,
            file,
            unfinished,
            out,
            events,
        } = *self;
        let path = archive.folder.join(&file);
        let whole = || -> io::Result<Manifest> {
            let Hashed { hash, bytes, inner } = out.finish()?;
            inner
                .into_inner()
                .map_err(io::IntoInnerError::into_error)?
                .sync_all()?;
            fs::rename(&unfinished, &path)?;
            // The name of the events must last before the manifest's does.
            File::open(&archive.folder)?.sync_all()?;
            Ok(Manifest {
                partition: partition.name.clone(),
                file,
                format: "csv.gz".to_owned(),
                events,
                bytes,
                sha256: base16ct::lower::encode_string(&hash.finalize()),
                received_from: partition.starts_at,
                received_to: partition.ends_at,
            })
        };
        let manifest = whole().map_err(|error| failed(&path, &error))?;
        let vouching = archive.manifest(&partition.name);
        vouch(&archive.folder, &vouching, &manifest).map_err(|error| failed(&vouching, &error))
    }
}

fn vouch(folder: &Path, path: &Path, manifest: &Manifest) -> io::Result<()> {
    let unfinished = folder.join(format!(".{}.manifest.unfinished", manifest.partition));
    let mut out = File::create(&unfinished)?;
    out.write_all(&serde_json::to_vec_pretty(manifest)?)?;
    out.write_all(b"\n")?;
    out.sync_all()?;
    fs::rename(&unfinished, path)?;
    File::open(folder)?.sync_all()
}

/// Size and SHA-256 of a file.
fn digest(path: &Path) -> io::Result<(u64, String)> {
    let (mut file, mut hash) = (File::open(path)?, Sha256::new());
    let (mut buffer, mut bytes) = (vec![0; BUFFER], 0);
    loop {
        let read = file.read(&mut buffer)?;
        let Some(chunk) = buffer.get(..read).filter(|chunk| !chunk.is_empty()) else {
            return Ok((bytes, base16ct::lower::encode_string(&hash.finalize())));
        };
        hash.update(chunk);
        bytes += u64::try_from(read).unwrap_or(u64::MAX);
    }
}

fn failed(path: &Path, error: &impl std::fmt::Display) -> ArchiveError {
    ArchiveError(format!("{}: {error}", path.display()))
}

/// Adds up what passes through.
struct Hashed<W> {
    inner: W,
    hash: Sha256,
    bytes: u64,
}

impl<W> Hashed<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
            bytes: 0,
        }
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        self.bytes += u64::try_from(written).unwrap_or(u64::MAX);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

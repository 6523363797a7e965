//! How a body may be packed: `Content-Encoding`.
//!
//! A body is unpacked by a reader that stops at the limit, so a few bytes that would become gigabytes cost the limit and no more.

use std::io::{self, Read};

use actix_web::{
    HttpRequest,
    http::{StatusCode, header},
    web::{self, Bytes},
};
use flate2::read::{MultiGzDecoder, ZlibDecoder};

use crate::Problem;

/// What a client may send. All are told when it sends another.
const ENCODINGS: &str = "gzip, deflate, zstd";

/// The window that a zstd frame may ask for, as a power of two: 8 MiB, by RFC 9659.
const ZSTD_WINDOW: u32 = 23;

/// The encoding of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    None,
    Gzip,
    /// Of zlib, as RFC 9110 says, not the bare stream.
    Deflate,
    Zstd,
}

impl Packing {
    /// What the request says of its body.
    ///
    /// # Errors
    /// `request.unsupported_encoding`: read as it is, the body would be no JSON, which explains nothing.
    pub(crate) fn of(request: &HttpRequest) -> Result<Self, Problem> {
        let Some(encoding) = request.headers().get(header::CONTENT_ENCODING) else {
            return Ok(Self::None);
        };
        let encoding = encoding.to_str().unwrap_or_default().trim();
        match encoding.to_ascii_lowercase().as_str() {
            "identity" => Ok(Self::None),
            "gzip" => Ok(Self::Gzip),
            "deflate" => Ok(Self::Deflate),
            "zstd" => Ok(Self::Zstd),
            _ => Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "request.unsupported_encoding",
                format!("Send the body as it is, or packed by one of {ENCODINGS}."),
            )
            .header(header::ACCEPT_ENCODING, ENCODINGS)),
        }
    }

    /// What is in `packed`, and `None` when that is more than `limit` bytes. Unpacks on a thread that may be kept busy.
    ///
    /// # Errors
    /// When it is not packed so, or is cut off.
    pub(crate) async fn unpack(self, packed: Bytes, limit: usize) -> io::Result<Option<Bytes>> {
        let unpack: fn(&[u8], usize) -> io::Result<Option<Bytes>> = match self {
            Self::None => return Ok((packed.len() <= limit).then_some(packed)),
            Self::Gzip => |packed, limit| read(MultiGzDecoder::new(packed), limit),
            Self::Deflate => |packed, limit| read(ZlibDecoder::new(packed), limit),
            Self::Zstd => |packed, limit| {
                let mut frames = zstd::Decoder::with_buffer(packed)?;
                frames.window_log_max(ZSTD_WINDOW)?;
                read(frames, limit)
            },
        };
        let unpacked = web::block(move || unpack(&packed, limit));
        unpacked.await.map_err(io::Error::other)?
    }
}

fn read(body: impl Read, limit: usize) -> io::Result<Option<Bytes>> {
    let mut bytes = Vec::new();
    let one_more = u64::try_from(limit).map_or(u64::MAX, |limit| limit.saturating_add(1));
    body.take(one_more).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= limit).then(|| bytes.into()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use actix_web::rt::System;
    use flate2::{Compression, write};

    use super::*;

    fn unpack(packing: Packing, packed: Vec<u8>, limit: usize) -> io::Result<Option<Bytes>> {
        System::new().block_on(packing.unpack(packed.into(), limit))
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packer = write::GzEncoder::new(Vec::new(), Compression::default());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    fn deflate(bytes: &[u8]) -> Vec<u8> {
        let mut packer = write::ZlibEncoder::new(Vec::new(), Compression::default());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    fn packed(packing: Packing, bytes: &[u8]) -> Vec<u8> {
        match packing {
            Packing::None => bytes.to_vec(),
            Packing::Gzip => gzip(bytes),
            Packing::Deflate => deflate(bytes),
            Packing::Zstd => zstd::encode_all(bytes, 0).unwrap(),
        }
    }

    const ALL: [Packing; 4] = [
        Packing::None,
        Packing::Gzip,
        Packing::Deflate,
        Packing::Zstd,
    ];

    #[test]
    fn the_limit_is_that_of_what_is_in_it() {
        for packing in ALL {
            let body = packed(packing, b"0123456789");
            let exactly = unpack(packing, body.clone(), 10).unwrap();
            assert_eq!(exactly.as_deref(), Some(&b"0123456789"[..]), "{packing:?}");
            assert_eq!(unpack(packing, body, 9).unwrap(), None, "{packing:?}");
        }
    }

    #[test]
    fn what_is_cut_off_or_something_else_is_an_error() {
        for packing in &ALL[1..] {
            let mut body = packed(*packing, b"0123456789");
            body.pop();
            assert!(unpack(*packing, body, 99).is_err(), "{packing:?}");
            assert!(unpack(*packing, b"{}".to_vec(), 99).is_err(), "{packing:?}");
        }
    }

    #[test]
    fn several_members_are_one_body() {
        let twice = |one: Vec<u8>| [one.clone(), one].concat();
        for packing in [Packing::Gzip, Packing::Zstd] {
            let body = twice(packed(packing, b"01234"));
            let whole = unpack(packing, body, 99).unwrap();
            assert_eq!(whole.as_deref(), Some(&b"0123401234"[..]), "{packing:?}");
        }
    }

    /// A frame of runs: four bytes for each 128 KiB.
    fn runs(blocks: u32) -> Vec<u8> {
        let header = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38];
        let run = |last: u32| {
            let head = ((128 << 10) << 3) | (1 << 1) | last;
            let [first, second, third, _] = head.to_le_bytes();
            [first, second, third, b' ']
        };
        let mut frame = header.to_vec();
        frame.extend((1..blocks).flat_map(|_| run(0)));
        frame.extend(run(1));
        frame
    }

    #[test]
    fn a_bomb_goes_off_at_the_limit() {
        let small = unpack(Packing::Zstd, runs(2), 1 << 20).unwrap().unwrap();
        assert_eq!(small.len(), 256 << 10);
        // 125 GiB.
        let bomb = runs(1_000_000);
        assert_eq!(unpack(Packing::Zstd, bomb, 1 << 20).unwrap(), None);
    }

    #[test]
    fn a_window_beyond_what_is_allowed_is_refused() {
        // A window of 2^27 bytes, which would be set aside before the first byte is unpacked.
        let mut frame = runs(1);
        frame[5] = (27 - 10) << 3;
        assert!(unpack(Packing::Zstd, frame, 1 << 20).is_err());
    }
}

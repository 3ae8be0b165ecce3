//! Compressing a page.

use std::io::Write as _;

use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

use crate::negotiation::ranges;

/// How a page travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// gzip.
    Gzip,
    /// Zstandard: smaller than gzip for a fraction of its work.
    Zstd,
}

/// Pages below it travel as they are.
const WORTHWHILE: usize = 1024;

impl Encoding {
    /// The best encoding that the request accepts: the heaviest, of equals zstd before gzip.
    #[must_use]
    pub fn negotiate(headers: &HeaderMap) -> Self {
        let (mut gzip, mut zstd, mut any) = (None, None, None);
        for range in ranges(headers, &ACCEPT_ENCODING) {
            match range.name.to_ascii_lowercase().as_str() {
                "gzip" | "x-gzip" => gzip = Some(range.weight),
                "zstd" => zstd = Some(range.weight),
                "*" => any = Some(range.weight),
                _ => {}
            }
        }
        // `*` speaks for what is not named, but nobody means zstd by it who does not know it.
        let gzip = gzip.or(any).unwrap_or(0);
        let zstd = zstd.unwrap_or(0);
        if zstd > 0 && zstd >= gzip {
            Self::Zstd
        } else if gzip > 0 {
            Self::Gzip
        } else {
            Self::Identity
        }
    }

    /// For the header `Content-Encoding`.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }

    /// The page encoded, and how: what is too small to gain stays as it is.
    #[must_use]
    pub fn encode(self, page: Vec<u8>) -> (Vec<u8>, Self) {
        if page.len() < WORTHWHILE {
            return (page, Self::Identity);
        }
        let encoded = match self {
            Self::Identity => None,
            Self::Gzip => gzip(&page),
            Self::Zstd => zstd::bulk::compress(&page, 1).ok(),
        };
        match encoded {
            Some(encoded) => (encoded, self),
            None => (page, Self::Identity),
        }
    }
}

fn gzip(page: &[u8]) -> Option<Vec<u8>> {
    // Metric pages shrink to a tenth at the fastest level already.
    let capacity = page.len() / 8 + 64;
    let mut encoder =
        flate2::write::GzEncoder::new(Vec::with_capacity(capacity), flate2::Compression::fast());
    encoder.write_all(page).ok()?;
    encoder.finish().ok()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use http::HeaderValue;

    use super::*;

    fn negotiated(accept: &'static str) -> Encoding {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(accept));
        Encoding::negotiate(&headers)
    }

    #[test]
    fn the_best_that_is_accepted() {
        for (accept, expected) in [
            ("", Encoding::Identity),
            ("identity", Encoding::Identity),
            ("gzip", Encoding::Gzip),
            ("gzip, zstd", Encoding::Zstd),
            ("gzip;q=1.0, zstd;q=0.5", Encoding::Gzip),
            ("gzip;q=0", Encoding::Identity),
            ("*", Encoding::Gzip),
            ("br, deflate", Encoding::Identity),
        ] {
            assert_eq!(negotiated(accept), expected, "{accept}");
        }
    }

    #[test]
    fn encoded_pages_decode() {
        let page = b"node_cpu_seconds_total 1\n".repeat(200);
        let (zipped, encoding) = Encoding::Gzip.encode(page.clone());
        assert_eq!(encoding, Encoding::Gzip);
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&*zipped)
            .read_to_end(&mut plain)
            .unwrap();
        assert_eq!(plain, page);
        let (zipped, encoding) = Encoding::Zstd.encode(page.clone());
        assert_eq!(encoding, Encoding::Zstd);
        assert_eq!(zstd::bulk::decompress(&zipped, page.len()).unwrap(), page);
        assert_eq!(
            Encoding::Gzip.encode(b"small".to_vec()).1,
            Encoding::Identity
        );
    }
}

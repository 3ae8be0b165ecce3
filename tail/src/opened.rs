//! An open file whose offsets are those of its text, compressed or not.
//!
//! A compressed file is decoded forwards as it is read. What the caller has not taken yet it hands back with
//! [`keep`](Opened::keep), so that the next read goes on where decoding stopped; a read before that begins
//! again at the first byte. Nothing else is held: memory does not grow with the file.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::FileExt;

use flate2::{Decompress, FlushDecompress, Status};

use crate::identity::to_u64;

/// Compressed bytes read at once.
const INPUT: usize = 32 << 10;
const MAGIC: [u8; 2] = [0x1F, 0x8B];

/// Bytes at offsets.
pub(crate) trait ReadAt {
    /// Reads some bytes from `offset` on; 0 at the end.
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Fills `buffer` as far as the file reaches.
    fn read_full_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.read_at(rest, offset + to_u64(filled)) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

impl ReadAt for File {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }
}

/// How compressed data ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// After a complete member.
    Whole,
    /// Within a member: somebody may still be writing it.
    Cut,
    /// With something that can't be decoded.
    Broken(&'static str),
}

/// A file to read lines from.
#[derive(Debug)]
pub(crate) struct Opened {
    file: File,
    gunzip: Option<Box<Gunzip>>,
}

impl Opened {
    pub(crate) fn new(file: File, packed: bool) -> Self {
        Self {
            file,
            gunzip: packed.then(Box::default),
        }
    }

    pub(crate) fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    pub(crate) fn is_packed(&self) -> bool {
        self.gunzip.is_some()
    }

    /// Where the text ends and how, when decoding a compressed file came to its end.
    pub(crate) fn end(&self) -> Option<(u64, End)> {
        let gunzip = self.gunzip.as_ref()?;
        gunzip.end.map(|end| (gunzip.plain_at, end))
    }

    /// `tail` is what was read and is wanted again, up to `end` where that read ended.
    pub(crate) fn keep(&mut self, tail: &[u8], end: u64) {
        // When nothing was decoded what was kept before still is.
        if let Some(gunzip) = self.gunzip.as_mut().filter(|gunzip| gunzip.plain_at == end) {
            gunzip.kept.clear();
            gunzip.kept.extend_from_slice(tail);
            gunzip.kept.shrink_to(2 * tail.len());
        }
    }

    /// Lets go of all memory: it isn't read for now.
    pub(crate) fn rest(&mut self) {
        if let Some(gunzip) = &mut self.gunzip {
            **gunzip = Gunzip::default();
        }
    }

    /// Where there is something else than a hole, from `offset` on. `None`: nowhere.
    pub(crate) fn next_data(&self, offset: u64) -> Option<u64> {
        if self.is_packed() {
            return Some(offset);
        }
        // Reads don't use the descriptor's own place.
        match rustix::fs::seek(&self.file, rustix::fs::SeekFrom::Data(offset)) {
            Ok(found) => Some(found),
            Err(rustix::io::Errno::NXIO) => None,
            Err(_) => Some(offset),
        }
    }

    /// Where the text ends now. Decodes a compressed file to its end.
    pub(crate) fn find_end(&mut self) -> io::Result<u64> {
        match &mut self.gunzip {
            None => Ok(self.file.metadata()?.len()),
            Some(gunzip) => {
                gunzip.skip_to(&self.file, u64::MAX)?;
                Ok(gunzip.plain_at)
            }
        }
    }
}

impl ReadAt for Opened {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match &mut self.gunzip {
            None => FileExt::read_at(&self.file, buffer, offset),
            Some(gunzip) => gunzip.read_at(&self.file, buffer, offset),
        }
    }
}

#[derive(Default)]
struct Gunzip {
    /// Within a member.
    inflate: Option<Decompress>,
    input: Vec<u8>,
    /// What of the input was decoded.
    input_at: usize,
    /// Where the input ends in the file.
    packed_at: u64,
    /// Bytes of text decoded.
    plain_at: u64,
    /// The last of them.
    kept: Vec<u8>,
    /// Members that were complete.
    members: u64,
    end: Option<End>,
}

impl std::fmt::Debug for Gunzip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gunzip")
            .field("packed_at", &self.packed_at)
            .field("plain_at", &self.plain_at)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

impl Gunzip {
    fn read_at(&mut self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset + to_u64(self.kept.len()) < self.plain_at {
            *self = Self::default();
        }
        if offset > self.plain_at {
            self.skip_to(file, offset)?;
            if offset > self.plain_at {
                return Ok(0);
            }
        }
        let again = usize::try_from(self.plain_at - offset).unwrap_or(usize::MAX);
        let kept = self.kept.len().saturating_sub(again);
        let kept = self.kept.get(kept..).unwrap_or_default();
        let count = kept.len().min(buffer.len());
        if let (Some(into), Some(from)) = (buffer.get_mut(..count), kept.get(..count)) {
            into.copy_from_slice(from);
        }
        let mut filled = count;
        while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
            match self.decode(file, room)? {
                0 => break,
                more => filled += more,
            }
        }
        if filled > count {
            // Until the caller says what it wants again.
            self.kept.clear();
        }
        Ok(filled)
    }

    /// Decodes without looking, until `offset` or the end.
    fn skip_to(&mut self, file: &File, offset: u64) -> io::Result<()> {
        let mut room = vec![0; INPUT];
        self.kept.clear();
        while self.plain_at < offset {
            let left = usize::try_from(offset - self.plain_at).unwrap_or(usize::MAX);
            let len = left.min(room.len());
            if self.decode(file, room.get_mut(..len).unwrap_or_default())? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Decodes some bytes; 0 at the end.
    fn decode(&mut self, file: &File, out: &mut [u8]) -> io::Result<usize> {
        if let Some(End::Broken(_)) = self.end {
            return Ok(0);
        }
        self.end = None;
        loop {
            if !self.begin_member(file)? {
                return Ok(0);
            }
            let Some(inflate) = &mut self.inflate else {
                return Ok(0);
            };
            let (before_in, before_out) = (inflate.total_in(), inflate.total_out());
            let input = self.input.get(self.input_at..).unwrap_or_default();
            let status = inflate.decompress(input, out, FlushDecompress::None);
            let used = usize::try_from(inflate.total_in() - before_in).unwrap_or(usize::MAX);
            let made = inflate.total_out() - before_out;
            self.input_at = self.input_at.saturating_add(used).min(self.input.len());
            self.plain_at += made;
            match status {
                Ok(Status::StreamEnd) => {
                    self.inflate = None;
                    self.members += 1;
                }
                Ok(Status::Ok | Status::BufError) => {}
                Err(_) => {
                    self.end = Some(End::Broken("its data is damaged"));
                    return Ok(usize::try_from(made).unwrap_or(0));
                }
            }
            if made > 0 {
                return Ok(usize::try_from(made).unwrap_or(0));
            }
            if self.inflate.is_some() && !self.fill(file)? {
                self.end = Some(End::Cut);
                return Ok(0);
            }
        }
    }

    /// Sees to it that there is a member being decoded. `false`: the end, and which is said in `end`.
    fn begin_member(&mut self, file: &File) -> io::Result<bool> {
        if self.inflate.is_some() {
            return Ok(true);
        }
        // Members may be padded with zeros.
        while self.members > 0 {
            let input = self.input.get(self.input_at..).unwrap_or_default();
            self.input_at += input.iter().take_while(|byte| **byte == 0).count();
            if self.input_at < self.input.len() || !self.fill(file)? {
                break;
            }
        }
        while self.input.len() - self.input_at < MAGIC.len() {
            if !self.fill(file)? {
                break;
            }
        }
        let input = self.input.get(self.input_at..).unwrap_or_default();
        if input.starts_with(&MAGIC) {
            self.inflate = Some(Decompress::new_gzip(15));
            return Ok(true);
        }
        self.end = Some(if input.is_empty() && self.members > 0 {
            End::Whole
        } else if MAGIC.starts_with(input) {
            End::Cut
        } else if self.members > 0 {
            End::Broken("something else follows its end")
        } else {
            End::Broken("it is not compressed")
        });
        Ok(false)
    }

    /// Reads more input behind what is left of it. `false` at the end of the file.
    fn fill(&mut self, file: &File) -> io::Result<bool> {
        self.input.drain(..self.input_at);
        self.input_at = 0;
        let before = self.input.len();
        self.input.resize(before + INPUT, 0);
        let room = self.input.get_mut(before..).unwrap_or_default();
        let read = FileExt::read_at(file, room, self.packed_at);
        let count = *read.as_ref().unwrap_or(&0);
        self.input.truncate(before + count);
        self.packed_at += to_u64(count);
        match read {
            Ok(count) => Ok(count > 0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.fill(file),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn open(bytes: &[u8]) -> (tempfile::NamedTempFile, Opened) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let opened = Opened::new(File::open(file.path()).unwrap(), true);
        (file, opened)
    }

    fn all(opened: &mut Opened) -> Vec<u8> {
        let mut text = vec![0; 1 << 20];
        let len = opened.read_full_at(&mut text, 0).unwrap();
        text.truncate(len);
        text
    }

    #[test]
    fn members_one_after_the_other() {
        let mut bytes = gzip(b"one ");
        bytes.extend(gzip(b""));
        bytes.extend([0; 300]);
        bytes.extend(gzip(b"two"));
        let (_file, mut opened) = open(&bytes);
        assert_eq!(all(&mut opened), b"one two");
        assert_eq!(opened.end(), Some((7, End::Whole)));
    }

    #[test]
    fn what_is_good_is_read_and_then_it_ends() {
        let text: Vec<u8> = (0..50_000u32)
            .flat_map(|n| (n.wrapping_mul(n) >> 7).to_le_bytes())
            .collect();
        let whole = gzip(&text);
        let half = &whole[..whole.len() / 2];
        let (_file, mut opened) = open(half);
        let got = all(&mut opened);
        assert!(got.len() > 10_000 && text.starts_with(&got));
        assert_eq!(opened.end(), Some((got.len() as u64, End::Cut)));
        let mut damaged = whole.clone();
        let last = damaged.len() - 5;
        damaged[last] ^= 1; // the checksum
        let (_file, mut opened) = open(&damaged);
        assert_eq!(all(&mut opened), text);
        assert!(matches!(opened.end(), Some((_, End::Broken(_)))));
        let mut more = whole;
        more.extend(b"junk");
        let (_file, mut opened) = open(&more);
        assert_eq!(all(&mut opened), text);
        assert!(matches!(opened.end(), Some((_, End::Broken(_)))));
        let (_file, mut opened) = open(b"plain text");
        assert_eq!(all(&mut opened), b"");
        assert!(matches!(opened.end(), Some((0, End::Broken(_)))));
    }

    #[test]
    fn one_that_is_still_written_goes_on() {
        let whole = gzip(b"some text that is compressed");
        let (mut file, mut opened) = open(b"");
        let mut got = Vec::new();
        for byte in &whole {
            assert!(!matches!(opened.end(), Some((_, End::Broken(_)))));
            file.write_all(&[*byte]).unwrap();
            let mut room = [0; 100];
            let count = opened.read_full_at(&mut room, got.len() as u64).unwrap();
            got.extend_from_slice(&room[..count]);
        }
        assert_eq!(got, b"some text that is compressed");
        assert_eq!(opened.end(), Some((28, End::Whole)));
        file.write_all(&gzip(b"!")).unwrap();
        let mut room = [0; 100];
        assert_eq!(opened.read_full_at(&mut room, 28).unwrap(), 1);
    }

    proptest! {
        /// Reads anywhere, kept or not, give what stands there.
        #[test]
        fn any_read_gives_what_stands_there(
            text in prop::collection::vec(any::<u8>(), 0..3000),
            reads in prop::collection::vec((any::<prop::sample::Index>(), 1usize..2000, any::<prop::sample::Index>()), 1..8),
        ) {
            let mut bytes = gzip(&text[..text.len() / 3]);
            bytes.extend(gzip(&text[text.len() / 3..]));
            let (_file, mut opened) = open(&bytes);
            for (at, len, keep) in reads {
                let at = at.index(text.len() + 1);
                let mut room = vec![0; len];
                let count = opened.read_full_at(&mut room, at as u64).unwrap();
                let expected = &text[at..text.len().min(at + len)];
                prop_assert_eq!(&room[..count], expected);
                opened.keep(&expected[keep.index(expected.len() + 1)..], (at + expected.len()) as u64);
            }
            prop_assert_eq!(opened.find_end().unwrap(), text.len() as u64);
        }

        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in any::<prop::sample::Index>(), flip in any::<prop::sample::Index>()) {
            let mut packed = gzip(&bytes);
            let at = flip.index(packed.len());
            packed[at] ^= 0x55;
            packed.truncate(cut.index(packed.len() + 1));
            let (_file, mut opened) = open(&packed);
            prop_assert!(all(&mut opened).len() <= 70_000);
            prop_assert!(opened.end().is_some());
        }
    }
}

//! What a pipe gives, in lines of bounded length.

/// The line that is not complete yet.
#[derive(Debug)]
pub(crate) struct Lines {
    line: Vec<u8>,
    limit: usize,
    /// More came than the limit.
    cut: bool,
}

impl Lines {
    /// Of a line that is longer than `limit` bytes that much is kept.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            line: Vec::new(),
            limit,
            cut: false,
        }
    }

    /// Calls `each` for every line that is complete, without its newline, and says whether it was cut.
    pub(crate) fn feed(&mut self, mut chunk: &[u8], mut each: impl FnMut(&mut Vec<u8>, bool)) {
        while let Some(end) = memchr::memchr(b'\n', chunk) {
            let (head, rest) = chunk.split_at(end);
            self.append(head);
            if !self.line.is_empty() {
                each(&mut self.line, self.cut);
            }
            self.line.clear();
            self.cut = false;
            chunk = rest.get(1..).unwrap_or_default();
        }
        self.append(chunk);
        // What one huge entry needed is not held for ever.
        if self.line.is_empty() && self.line.capacity() > 256 << 10 {
            self.line = Vec::new();
        }
    }

    fn append(&mut self, part: &[u8]) {
        let room = self.limit.saturating_sub(self.line.len());
        self.cut |= part.len() > room;
        self.line
            .extend_from_slice(part.get(..room).unwrap_or(part));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(input: &[u8], sizes: &[usize], limit: usize) -> Vec<(Vec<u8>, bool)> {
        let mut lines = Lines::new(limit);
        let mut found = Vec::new();
        let mut rest = input;
        let mut sizes = sizes.iter().cycle();
        while !rest.is_empty() {
            let size = sizes
                .next()
                .map_or(rest.len(), |size| (*size).clamp(1, rest.len()));
            let (chunk, after) = rest.split_at(size);
            lines.feed(chunk, |line, cut| found.push((line.clone(), cut)));
            rest = after;
        }
        found
    }

    #[test]
    fn long_lines_are_cut_and_empty_ones_are_none() {
        assert_eq!(
            all(b"abc\n\nabcdef\nx\nrest", &[100], 3),
            [
                (b"abc".to_vec(), false),
                (b"abc".to_vec(), true),
                (b"x".to_vec(), false)
            ]
        );
    }

    proptest! {
        #[test]
        fn reads_do_not_matter(input in prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..200), sizes in prop::collection::vec(1usize..40, 1..10), limit in 1usize..50) {
            prop_assert_eq!(all(&input, &sizes, limit), all(&input, &[usize::MAX], limit));
        }
    }
}

//! Choices made by bytes, so that a fuzzer or a property test drives and shrinks them.

/// A source of choices that ends in zeros.
#[derive(Clone, Debug)]
pub struct Entropy<'a> {
    bytes: &'a [u8],
}

impl<'a> Entropy<'a> {
    /// Choices from these bytes.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Whether there are bytes left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes that are left.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// A byte.
    pub fn byte(&mut self) -> u8 {
        match self.bytes.split_first() {
            Some((byte, rest)) => {
                self.bytes = rest;
                *byte
            }
            None => 0,
        }
    }

    /// A number.
    pub fn number(&mut self) -> u64 {
        let mut bytes = [0u8; 8];
        let width = self.below(9);
        for byte in bytes.iter_mut().take(width) {
            *byte = self.byte();
        }
        u64::from_le_bytes(bytes)
    }

    /// A number below `limit` (at most 256), zero if the bytes have run out.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit.max(1)
    }

    /// True once in so many times, false if the bytes have run out.
    pub fn one_in(&mut self, times: usize) -> bool {
        let last = times.saturating_sub(1);
        self.below(times) == last && times > 0
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> Option<T> {
        choices.get(self.below(choices.len())).copied()
    }
}

//! Copying a request with changes.

use std::ops::Range;

use smallvec::SmallVec;

use crate::wire::{self, Field};

/// Copies its input up to each change and keeps the lengths of the messages around changes right.
/// Nothing is copied before the first change.
#[derive(Debug)]
pub(super) struct Splicer<'a> {
    input: &'a [u8],
    out: Vec<u8>,
    /// Input before this has been copied or left out.
    copied: usize,
    open: SmallVec<[Container; 6]>,
    /// How many of the open containers, outermost first, have their length's place in `out`.
    placed: usize,
}

#[derive(Clone, Copy, Debug)]
struct Container {
    /// Where its length stands in the input, and in the output once `placed`.
    input_length: usize,
    output_length: usize,
    /// How many bytes its length takes.
    width: usize,
    /// Where it ends in the input.
    end: usize,
}

/// A state to come back to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    out: usize,
    copied: usize,
    placed: usize,
}

impl<'a> Splicer<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self {
            input,
            out: Vec::new(),
            copied: 0,
            open: SmallVec::new(),
            placed: 0,
        }
    }

    /// Where a part of the input stands in it.
    #[inline]
    pub(super) fn range(&self, part: &[u8]) -> Range<usize> {
        let start = (part.as_ptr() as usize).saturating_sub(self.input.as_ptr() as usize);
        start..start + part.len()
    }

    /// Goes into a message of the input.
    #[inline]
    pub(super) fn enter(&mut self, message: &Field<'a>) {
        let field = self.range(message.raw);
        let payload = self.range(message.value.bytes());
        let tag =
            wire::read_varint(message.raw).map_or(0, |(_, rest)| message.raw.len() - rest.len());
        let input_length = field.start + tag;
        self.open.push(Container {
            input_length,
            output_length: 0,
            width: payload.start.saturating_sub(input_length),
            end: payload.end,
        });
    }

    /// Leaves the message entered last, whose length is then right.
    #[inline]
    pub(super) fn leave(&mut self) {
        let Some(container) = self.open.pop() else {
            return;
        };
        if self.placed <= self.open.len() {
            return;
        }
        self.placed = self.open.len();
        self.copy_to(container.end);
        let start = container.output_length + container.width;
        let len = self.out.len().saturating_sub(start);
        wire::patch_length(&mut self.out, container.output_length, container.width, len);
    }

    /// Leaves a range of the input out, after everything that was left out before. What is appended
    /// to the buffer stands in its place.
    #[inline]
    pub(super) fn replace(&mut self, range: Range<usize>) -> &mut Vec<u8> {
        if self.out.capacity() == 0 {
            self.out
                .reserve(self.input.len() + self.input.len() / 8 + 256);
        }
        let (out, copied) = (self.out.len(), self.copied);
        for container in self.open.iter_mut().skip(self.placed) {
            container.output_length = out + container.input_length.saturating_sub(copied);
        }
        self.placed = self.open.len();
        self.copy_to(range.start);
        self.copied = range.end;
        &mut self.out
    }

    #[inline]
    fn copy_to(&mut self, end: usize) {
        let part = self.input.get(self.copied..end).unwrap_or_default();
        self.out.extend_from_slice(part);
        self.copied = end;
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            out: self.out.len(),
            copied: self.copied,
            placed: self.placed,
        }
    }

    /// Forgets all changes since `mark`, which was taken with the same messages open.
    pub(super) fn restore(&mut self, mark: Mark) {
        self.out.truncate(mark.out);
        self.copied = mark.copied;
        self.placed = mark.placed;
    }

    /// The changed request, or `None` if nothing has changed.
    pub(super) fn finish(mut self) -> Option<Vec<u8>> {
        if self.copied == 0 {
            return None;
        }
        self.copy_to(self.input.len());
        // What a filter has left small must not hold memory for all that there was.
        if self.out.capacity() > 2 * self.out.len() {
            self.out.shrink_to_fit();
        }
        Some(self.out)
    }
}

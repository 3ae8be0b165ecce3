//! The last page, for the next scrape.

use corten_exposition::{Format, Report, Template};
use corten_pdata::Metrics;

/// Scrapes that pass at most before it is tried again whether pages resemble each other.
const LONGEST: u32 = 64;

/// A page that is likely to come again. Where pages turn out to be others each time, it is tried less and less often.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    template: Option<Template>,
    /// How many times in a row a page was kept in vain.
    in_vain: u32,
    /// Pages that are not kept before the next one is.
    skip: u32,
}

impl Remembered {
    /// The page of `metrics`, if it is the one that is remembered but for its numbers.
    pub(crate) fn write<'a>(
        &mut self,
        format: Format,
        metrics: impl Iterator<Item = &'a Metrics> + Clone,
        out: &mut Vec<u8>,
    ) -> Option<Report> {
        let report = self.template.as_mut()?.write(format, metrics, out);
        if report.is_some() {
            self.in_vain = 0;
        } else {
            self.was_in_vain();
        }
        report
    }

    fn was_in_vain(&mut self) {
        self.template = None;
        self.skip = 1u32.checked_shl(self.in_vain).unwrap_or(LONGEST) - 1;
        self.skip = self.skip.min(LONGEST);
        self.in_vain = self.in_vain.saturating_add(1);
    }

    /// Whether the next page is one to keep.
    pub(crate) fn learns(&mut self) -> bool {
        let learns = self.skip == 0;
        self.skip = self.skip.saturating_sub(1);
        learns
    }

    /// Keeps what was learned of a page; `None`: it is not one to keep.
    pub(crate) fn keep(&mut self, template: Option<Template>) {
        self.template = template;
        if self.template.is_none() {
            self.was_in_vain();
        }
    }
}

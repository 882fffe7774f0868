//! How far long work has come, if somebody is watching.

use std::borrow::Cow;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on standard error, of `total` bytes if they are known. Nothing is shown when standard error is no terminal.
pub fn bytes(what: impl Into<Cow<'static, str>>, total: Option<u64>) -> ProgressBar {
    bar(what, total, "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}", "{msg} {spinner} {bytes}")
}

/// A count of records.
pub fn records(what: impl Into<Cow<'static, str>>) -> ProgressBar {
    bar(what, None, "", "{msg} {spinner} {human_pos} records, {per_sec}")
}

fn bar(what: impl Into<Cow<'static, str>>, total: Option<u64>, known: &str, unknown: &str) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (ProgressBar::new(total), known),
        None => (ProgressBar::new_spinner(), unknown),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.with_message(what)
}

//! The progress bar, which is shown in a terminal only.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::options::Load;
use crate::settings::millis;

/// The bar counts messages, or milliseconds if the time is limited.
pub(super) struct Progress {
    bar: ProgressBar,
    length: Option<u64>,
}

impl Progress {
    pub(super) fn new(load: &Load, is_hidden: bool) -> Self {
        let target = if is_hidden || !io::stderr().is_terminal() {
            ProgressDrawTarget::hidden()
        } else {
            // Ten times per second.
            ProgressDrawTarget::stderr_with_hz(10)
        };
        let length = load.duration().map(millis);
        let bar = ProgressBar::with_draw_target(length.or(load.count), target);
        // The template is constant. Without it, the bar would have another form.
        if let Ok(style) = ProgressStyle::with_template("[{bar:40}] {percent}% {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message("connecting");
        Self { bar, length }
    }

    pub(super) fn start(&self) {
        self.bar.reset();
        self.bar.set_message("");
    }

    pub(super) fn update(&self, returned: u64, elapsed: Duration) {
        if self.bar.is_hidden() {
            return;
        }
        match self.length {
            Some(length) => self.bar.set_position(millis(elapsed).min(length)),
            None => self.bar.set_position(returned),
        }
        // A text for each message would be slow.
        if returned.is_multiple_of(1024) || returned < 1024 {
            self.bar.set_message(format!("{returned} messages"));
        }
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

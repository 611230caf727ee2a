//! How far a transfer is: shown on standard error if that is a terminal, and not at all in a pipe.
//!
//! It counts nothing itself.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

use twoport_client::Progress;

/// How often it is drawn: ten times a second moves smoothly to the eye.
const TICK: Duration = Duration::from_millis(100);

/// A line on the terminal until it is dropped.
pub(crate) struct Meter {
    bar: ProgressBar,
    drawing: JoinHandle<()>,
}

impl Meter {
    /// Shows `progress` under `name`, against `length` if that is known.
    pub(crate) fn show(name: String, length: Option<u64>, progress: Progress) -> Option<Self> {
        io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
            let template = match length {
                Some(_) => "{msg} {bar:30} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}",
                None => "{msg} {bytes} {binary_bytes_per_sec} {elapsed}",
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_message(name);
            let drawn = bar.clone();
            let drawing = tokio::spawn(async move {
                loop {
                    drawn.set_position(progress.bytes());
                    tokio::time::sleep(TICK).await;
                }
            });
            Self { bar, drawing }
        })
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.drawing.abort();
        self.bar.finish_and_clear();
    }
}

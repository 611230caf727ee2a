//! The one timer of a session. Its deadline moves with every command, nearly always to later; the
//! runtime's wheel hears of it only when it would wake the session too late, or has woken it too early.
//!
//! It does not know what the deadline is for.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Sleep, sleep_until};

use twoport_proto::time::Time;

use crate::clock;

/// Wakes a session.
#[derive(Debug, Default)]
pub struct Timer {
    set: Option<(Time, Pin<Box<Sleep>>)>,
}

impl Timer {
    /// Ready once the deadline has come. Without one it never is.
    pub fn poll_reached(&mut self, deadline: Option<Time>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = deadline else { return Poll::Pending };
        let (at, sleep) = self
            .set
            .get_or_insert_with(|| (deadline, Box::pin(sleep_until(clock::instant(deadline)))));
        if deadline < *at {
            *at = deadline;
            sleep.as_mut().reset(clock::instant(deadline));
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if clock::now() >= deadline {
                return Poll::Ready(());
            }
            *at = deadline;
            sleep.as_mut().reset(clock::instant(deadline));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn it_wakes_at_the_deadline_wherever_that_has_moved_meanwhile() {
        let (mut timer, began) = (Timer::default(), clock::now());
        let after = |ms| began.after(Duration::from_millis(ms));
        let mut glance = |deadline| {
            let polled =
                timer.poll_reached(deadline, &mut Context::from_waker(std::task::Waker::noop()));
            (polled.is_ready(), timer.set.as_ref().map(|(at, _)| *at))
        };
        assert_eq!(glance(None), (false, None));
        assert_eq!(glance(Some(after(20))), (false, Some(after(20))));
        assert_eq!(glance(Some(after(60))), (false, Some(after(20))), "later: it is not set anew");
        assert_eq!(glance(Some(after(10))), (false, Some(after(10))));
        for deadline in [40, 41] {
            poll_fn(|cx| timer.poll_reached(Some(after(deadline)), cx)).await;
            assert!(clock::now() >= after(deadline));
        }
    }
}

//! Active mode through user space: the client is connected before it hears what the server says of the
//! data, as it is where nobody stands between.
//!
//! It connects nobody: that is [`hole`](crate::hole).

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

/// How long the task that waits at the server's door may take to see who has come: the server has
/// connected before it says so, unless it is one that says 150 first.
const MOMENT: Duration = Duration::from_millis(10);

/// How long the client may take to be connected. Origin: some round trips of a slow network; it hears of
/// its silent port later.
const PATIENCE: Duration =
    if cfg!(test) { Duration::from_millis(100) } else { Duration::from_secs(5) };

/// The session's view of it.
#[derive(Debug)]
pub(crate) struct Meeting(watch::Receiver<bool>);

/// That of the task which connects the two: dropped when it has, or cannot.
#[derive(Debug)]
pub(crate) struct Host(watch::Sender<bool>);

pub(crate) fn meeting() -> (Host, Meeting) {
    let (host, guest) = watch::channel(false);
    (Host(host), Meeting(guest))
}

impl Host {
    pub(crate) fn server_is_there(&self) {
        self.0.send_replace(true);
    }
}

impl Meeting {
    /// Waits for the client, if the server has come. Whether there is nothing to wait for any more.
    pub(crate) async fn is_over(&mut self) -> bool {
        if timeout(MOMENT, self.0.wait_for(|has_come| *has_come)).await.is_err() {
            return false;
        }
        // It ends with its host, and says nothing more before.
        let _over = timeout(PATIENCE, self.0.wait_for(|has_come| !*has_come)).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_the_server_says_waits_for_the_client_only_if_the_server_has_come() {
        let (host, mut meeting) = meeting();
        assert!(!meeting.is_over().await, "nobody is there");
        host.server_is_there();
        let began = tokio::time::Instant::now();
        let met = async {
            tokio::time::sleep(PATIENCE / 2).await;
            drop(host);
        };
        let (is_over, ()) = tokio::join!(meeting.is_over(), met);
        assert!(is_over && began.elapsed() >= PATIENCE / 2);
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let (host, mut meeting) = meeting();
        host.server_is_there();
        assert!(meeting.is_over().await, "the client is silent");
        drop(host);
        assert!(meeting.is_over().await, "the task is gone");
    }
}

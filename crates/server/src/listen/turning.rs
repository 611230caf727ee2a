//! Turns the ring of ticket keys in time, and reads it again where another node has turned it.
//!
//! What a key is for is the matter of `twoport_net::tls::keys`.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use twoport_net::pump::blocking;

use super::Shared;

/// How often the file of the keys is looked at. Origin: a new key seals a minute after it was
/// written; by then every node has looked a few times.
const INTERVAL: Duration = Duration::from_secs(10);

/// Looks after the keys for as long as the server serves.
pub(super) async fn run(shared: Arc<Shared>) {
    loop {
        sleep(INTERVAL).await;
        let Some(binder) = shared.serving.borrow().binder.clone() else { continue };
        if let Err(error) = blocking(move || binder.keys().turn()).await {
            tracing::error!(target: "twoport", %error, "the ticket keys stay as they are");
        }
    }
}

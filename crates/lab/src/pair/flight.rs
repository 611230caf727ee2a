//! What is under way between the two ends of a pair, and what happens when it arrives.

use twoport_proto::client::{conversation, open, transfer};
use twoport_proto::reason::Reason;
use twoport_proto::server::DataEvent;

use super::Pair;
use crate::player::Stage as _;

/// Something under way.
#[derive(Debug)]
pub(super) enum Flight {
    /// Commands, on which control connection.
    Command(u32, Vec<u8>),
    /// Replies, on which control connection.
    Reply(u32, Vec<u8>),
    /// The client connects to a passive port.
    ToServer(u16),
    /// It is connected.
    Connected,
    /// It is not.
    Refused,
    /// The server connects to the client's port.
    ToClient,
    /// It is connected.
    ServerConnected,
    /// It is not.
    ServerRefused,
    /// Data of an upload.
    Upload(Vec<u8>),
    /// Its end.
    UploadEnd,
    /// Its untimely end.
    UploadBroken,
    /// Data of a download.
    Download(Vec<u8>),
    /// Its end.
    DownloadEnd,
    /// Its untimely end.
    DownloadBroken,
}

impl Pair {
    /// It arrives.
    pub(super) fn land(&mut self, flight: Flight) -> Result<(), String> {
        let (now, latency) = (self.now, self.network.latency);
        match flight {
            Flight::Command(connection, bytes) if connection == self.connection && !self.deaf => {
                self.server.say(&bytes)?;
            }
            Flight::Reply(connection, bytes) if connection == self.connection => {
                self.control(conversation::Input::Bytes(&bytes));
            }
            Flight::Command(..) | Flight::Reply(..) => {}
            Flight::ToServer(port) => match self.server.connect(port, false) {
                Ok(()) => self.fly(latency, Flight::Connected),
                Err(_) => self.fly(latency, Flight::Refused),
            },
            Flight::Connected => {
                self.data.connected = true;
                self.dialling = None;
                self.client.open(now, open::Input::Connected);
            }
            Flight::Refused => {
                if let Some((to, _)) = self.dialling.take() {
                    self.client.dial_failed(now, to, Reason::DataRefused);
                }
            }
            Flight::ToClient => {
                self.data.connected = true;
                self.fly(latency, Flight::ServerConnected);
            }
            Flight::ServerConnected => self.server.dialled(DataEvent::Dialled)?,
            Flight::ServerRefused => {
                self.server.dialled(DataEvent::DialFailed(Reason::DataRefused))?;
            }
            Flight::Upload(bytes) => self.server.upload(&bytes)?,
            Flight::UploadEnd => self.server.close_data()?,
            Flight::UploadBroken => self.server.fail(Reason::DataReset)?,
            Flight::Download(bytes) => self.played.received.extend(bytes),
            Flight::DownloadEnd => {
                let bytes = self.played.received.len() as u64;
                self.client.transfer(now, transfer::Input::DataEnded { bytes });
            }
            Flight::DownloadBroken => {
                let (reason, bytes) = (Reason::DataReset, self.played.received.len() as u64);
                self.client.transfer(now, transfer::Input::DataFailed { reason, bytes });
            }
        }
        Ok(())
    }
}

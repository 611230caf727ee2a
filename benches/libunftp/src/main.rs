//! A server for visitors on libunftp: `libunftp-smallest ADDRESS ROOT LOW HIGH [CERTIFICATE KEY]`.

use std::error::Error;
use std::path::PathBuf;

use libunftp::ServerBuilder;
use libunftp::options::{ActivePassiveMode, TlsFlags};
use unftp_sbe_fs::Filesystem;

const USAGE: &str = "libunftp-smallest ADDRESS ROOT LOW HIGH [CERTIFICATE KEY]";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, root, low, high, tls @ ..] = arguments.as_slice() else { return Err(USAGE.into()) };
    let root = PathBuf::from(root);
    let files = Box::new(move || Filesystem::new(root.clone()).expect("the root is there"));
    let mut server = ServerBuilder::new(files)
        .passive_ports(low.parse()?..=high.parse()?)
        .active_passive_mode(ActivePassiveMode::ActiveAndPassive)
        .idle_session_timeout(3600);
    if let [certificate, key] = tls {
        let flags = TlsFlags::V1_2 | TlsFlags::V1_3 | TlsFlags::RESUMPTION_TICKETS;
        server = server.ftps(certificate, key).ftps_tls_flags(flags);
    }
    server.build()?.listen(address.clone()).await?;
    Ok(())
}

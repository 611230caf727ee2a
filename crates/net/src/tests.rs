//! What tests of several modules need.

use tokio::net::{TcpListener, TcpStream};

/// Two ends of a connection: the one that dialled comes first.
pub(crate) async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (near, listener.accept().await.unwrap().0)
}

//! A wire between the gateway and a store, which can be cut, clogged, or taken over by somebody who lies.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What it does with what it gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Hands it on.
    Pass,
    /// Hands it on, so much later.
    Slow(Duration),
    /// Takes it and says nothing.
    Silent,
    /// Ends every connection with RST, new ones too.
    Reset,
    /// Answers everything with these bytes, again and again if so many times.
    Lie(Vec<u8>, usize),
}

/// A running one.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    mode: watch::Sender<Mode>,
}

impl Relay {
    /// In front of this address.
    pub(crate) fn to(target: SocketAddr) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let (mode, watched) = watch::channel(Mode::Pass);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                let mut over = watched.clone();
                tokio::select! {
                    never = accept(listener, target, watched) => never,
                    () = async { while over.changed().await.is_ok() {} } => (),
                }
            });
        });
        Self { address, mode }
    }

    /// From now on, for the connections that there are too.
    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, mode: watch::Receiver<Mode>) -> ! {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        let mode = mode.clone();
        tokio::spawn(async move { relay(client, target, mode).await.ok() });
    }
}

async fn relay(mut client: TcpStream, target: SocketAddr, mut mode: watch::Receiver<Mode>) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let mut server = TcpStream::connect(target).await?;
    server.set_nodelay(true)?;
    let (mut asked, mut answered) = (vec![0; 65536], vec![0; 65536]);
    loop {
        let now = mode.borrow_and_update().clone();
        if now == Mode::Reset {
            return socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO));
        }
        tokio::select! {
            changed = mode.changed() => if changed.is_err() { return Ok(()) },
            read = client.read(&mut asked) => {
                let length = read?;
                if length == 0 {
                    return Ok(());
                }
                match now {
                    Mode::Pass => server.write_all(asked.get(..length).unwrap()).await?,
                    Mode::Slow(time) => {
                        tokio::time::sleep(time).await;
                        server.write_all(asked.get(..length).unwrap()).await?;
                    }
                    Mode::Lie(bytes, times) => for _ in 0..times {
                        client.write_all(&bytes).await?;
                    },
                    Mode::Silent | Mode::Reset => (),
                }
            }
            read = server.read(&mut answered) => {
                let length = read?;
                if length == 0 {
                    return Ok(());
                }
                if matches!(now, Mode::Pass | Mode::Slow(_)) {
                    client.write_all(answered.get(..length).unwrap()).await?;
                }
            }
        }
    }
}
